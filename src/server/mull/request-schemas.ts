import { z } from "@hono/zod-openapi";
import type { WireStreamRequest, WireVectorsRequest } from "../../providers/wire.ts";
import type { ImagePart, Message, Part } from "../../spec/message.ts";
import type { EmbedInput } from "../../spec/model.ts";
import type { Tool, ToolCall, ToolChoice } from "../../spec/tool.ts";
import { mediaInput } from "../route-module.ts";
import { jsonSchema, toolName } from "../wire/wire-schemas.ts";

/*
 * Absent fields are absent, as in the library's types: `exactOptional`. The OpenAPI generator does not know that kind
 * of field, so every object says which of its fields are required.
 */

const modelName = z.string().min(1).openapi({ example: "pico", description: "As `GET /api/tags` lists it." });

const client = z.string().min(1).max(256).openapi({
  description: "One of the caller's own clients: requests are fair between them, caches not shared.",
});

const attachmentName = z.string().max(1000).openapi({ description: "What receipts and errors call it." });

const imagePart: z.ZodType<ImagePart> = z
  .strictObject({
    type: z.literal("image"),
    image: mediaInput,
    name: attachmentName.exactOptional(),
    detail: z.enum(["auto", "low", "high"]).exactOptional(),
    maxTokens: z.int().min(1).exactOptional().openapi({ description: "Most rows of the context." }),
  })
  .openapi({ required: ["type", "image"] });

const part: z.ZodType<Part> = z.union([
  z.strictObject({ type: z.literal("text"), text: z.string() }),
  imagePart,
]);

const toolCall: z.ZodType<ToolCall> = z.strictObject({
  id: z.string(),
  name: z.string(),
  arguments: z.record(z.string(), z.unknown()),
});

const message: z.ZodType<Message> = z
  .strictObject({
    role: z.enum(["system", "user", "assistant", "tool"]),
    content: z.union([z.string(), z.array(part)]),
    toolCalls: z.array(toolCall).exactOptional(),
    reasoning: z.string().exactOptional(),
    toolCallId: z.string().exactOptional(),
    toolName: z.string().exactOptional(),
  })
  .openapi({ required: ["role", "content"] });

const tool: z.ZodType<Tool> = z
  .strictObject({
    name: toolName,
    description: z.string().exactOptional(),
    parameters: jsonSchema.exactOptional(),
  })
  .openapi({ required: ["name"] });

const toolChoice: z.ZodType<ToolChoice> = z.union([
  z.enum(["auto", "none", "required"]),
  z.strictObject({ name: z.string() }),
]);

/** `StreamRequest` and the model's name. What is not known is an error, never ignored; the model checks ranges. */
export const StreamBody: z.ZodType<WireStreamRequest> = z
  .strictObject({
    model: modelName,
    messages: z.array(message).min(1),
    raw: z.boolean().exactOptional(),
    tools: z.array(tool).exactOptional(),
    toolChoice: toolChoice.exactOptional(),
    format: z.union([z.literal("json"), jsonSchema]).exactOptional(),
    think: z.union([z.boolean(), z.enum(["low", "medium", "high", "max"])]).exactOptional(),
    logprobs: z.int().min(0).max(20).exactOptional(),
    overflow: z.enum(["error", "shrink"]).exactOptional(),
    client: client.exactOptional(),
    temperature: z.number().exactOptional(),
    topK: z.number().exactOptional(),
    topP: z.number().exactOptional(),
    minP: z.number().exactOptional(),
    repeatPenalty: z.number().exactOptional(),
    frequencyPenalty: z.number().exactOptional(),
    presencePenalty: z.number().exactOptional(),
    repeatLastN: z.number().exactOptional(),
    seed: z.number().exactOptional(),
    stop: z.array(z.string()).exactOptional(),
    maxTokens: z.number().exactOptional(),
  })
  .openapi("StreamRequest", { required: ["model", "messages"] });

const embedInput: z.ZodType<EmbedInput> = z.union([
  z.string(),
  z
    .strictObject({
      text: z.string().exactOptional(),
      image: mediaInput.exactOptional(),
      name: attachmentName.exactOptional(),
    })
    .openapi({ required: [] }),
]);

export const VectorsBody: z.ZodType<WireVectorsRequest> = z
  .strictObject({
    model: modelName,
    inputs: z.array(embedInput),
    truncate: z.boolean().exactOptional(),
    dimensions: z.int().min(1).exactOptional(),
    client: client.exactOptional(),
  })
  .openapi("VectorsRequest", { required: ["model", "inputs"] });
