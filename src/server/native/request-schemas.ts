import { z } from "@hono/zod-openapi";
import type { JsonSchema, ToolCall } from "../../spec/tool.ts";
import { mediaInput } from "../route-module.ts";

const model = z
  .string()
  .min(1)
  .openapi({ example: "pico", description: "A name that `GET /api/tags` lists." });

const client = z
  .string()
  .min(1)
  .max(256)
  .optional()
  .openapi({
    description: "One of the caller's own clients: requests are fair between them, caches never shared.",
  });

const detail = z.enum(["auto", "low", "high"]).optional();

const imagePart = z.strictObject({
  type: z.literal("image"),
  image: mediaInput,
  name: z.string().max(1000).optional().openapi({ description: "What receipts and errors call it." }),
  detail,
  maxTokens: z.int().min(1).optional().openapi({ description: "Most rows of the context that it may take." }),
});

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });

const toolCall: z.ZodType<ToolCall> = z.strictObject({
  id: z.string(),
  name: z.string(),
  arguments: z.record(z.string(), z.unknown()),
});

const message = z.strictObject({
  role: z.enum(["system", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(z.discriminatedUnion("type", [textPart, imagePart]))]),
  toolCalls: z.array(toolCall).optional(),
  reasoning: z.string().optional(),
  toolCallId: z.string().optional(),
  toolName: z.string().optional(),
});

const jsonSchema: z.ZodType<JsonSchema> = z
  .union([z.boolean(), z.record(z.string(), z.unknown())])
  .openapi({ description: "JSON Schema, draft 2020-12." });

const tool = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  parameters: jsonSchema.optional(),
});

/** Ranges are checked by the model: see `GenerationOptions`. */
const generationFields = {
  temperature: z.number().optional(),
  topK: z.number().optional(),
  topP: z.number().optional(),
  minP: z.number().optional(),
  repeatPenalty: z.number().optional(),
  frequencyPenalty: z.number().optional(),
  presencePenalty: z.number().optional(),
  repeatLastN: z.number().optional(),
  seed: z.number().optional(),
  stop: z.array(z.string()).optional(),
  maxTokens: z.number().optional(),
};

/** `StreamRequest` and the model's name. A field that is not known is an error, never ignored. */
export const StreamBody = z
  .strictObject({
    model,
    messages: z.array(message).min(1),
    raw: z.boolean().optional(),
    tools: z.array(tool).optional(),
    toolChoice: z
      .union([z.enum(["auto", "none", "required"]), z.strictObject({ name: z.string() })])
      .optional(),
    format: z.union([z.literal("json"), jsonSchema]).optional(),
    think: z.union([z.boolean(), z.enum(["low", "medium", "high", "max"])]).optional(),
    logprobs: z.int().min(0).max(20).optional(),
    overflow: z.enum(["error", "shrink"]).optional(),
    client,
    ...generationFields,
  })
  .openapi("StreamRequest");

export type StreamBody = z.output<typeof StreamBody>;

const embedInput = z.union([
  z.string(),
  z.strictObject({
    text: z.string().optional(),
    image: mediaInput.optional(),
    name: z.string().max(1000).optional(),
  }),
]);

export const VectorsBody = z
  .strictObject({
    model,
    inputs: z.array(embedInput),
    truncate: z.boolean().optional(),
    dimensions: z.int().min(1).optional(),
    client,
  })
  .openapi("VectorsRequest");

export type VectorsBody = z.output<typeof VectorsBody>;
