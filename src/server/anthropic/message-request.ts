import { z } from "@hono/zod-openapi";
import type { JsonSchema } from "../../spec/tool.ts";
import { jsonSchema, toolName, withoutEffect, type Nullish } from "../wire/wire-schemas.ts";
import { textBlocks, wireMessage, type WireMessage, type WireTextBlock } from "./message-blocks.ts";

export interface WireTool {
  name: string;
  description?: string | null | undefined;
  input_schema: JsonSchema;
}

export type WireToolChoice =
  | { type: "auto" | "any"; disable_parallel_tool_use?: boolean | null | undefined }
  | { type: "tool"; name: string; disable_parallel_tool_use?: boolean | null | undefined }
  | { type: "none" };

type WireEffort = "low" | "medium" | "high" | "xhigh" | "max";

/** Body of `POST /v1/messages/count_tokens`. */
export interface CountTokensRequest extends Nullish<{
  system: string | WireTextBlock[];
  tools: WireTool[];
  tool_choice: WireToolChoice;
  thinking: { type: "enabled" | "adaptive" | "disabled" };
  output_config: Nullish<{
    effort: WireEffort;
    format: { type: "json_schema"; schema: JsonSchema };
  }>;
}> {
  model: string;
  messages: WireMessage[];
}

/** Body of `POST /v1/messages`. */
export interface MessageRequest
  extends
    CountTokensRequest,
    Nullish<{
      stop_sequences: string[];
      temperature: number;
      top_p: number;
      top_k: number;
      stream: boolean;
    }> {
  max_tokens: number;
}

const tool: z.ZodType<WireTool> = z.object({
  type: z
    .literal("custom", { error: "only tools of the caller's own are supported, with an input_schema" })
    .nullish(),
  name: toolName,
  description: z.string().nullish(),
  input_schema: jsonSchema,
});

const oneCall = {
  disable_parallel_tool_use: z.boolean().nullish().openapi({ description: "At most one call." }),
};

const toolChoice: z.ZodType<WireToolChoice> = z.discriminatedUnion("type", [
  z.object({ type: z.enum(["auto", "any"]), ...oneCall }),
  z.object({ type: z.literal("tool"), name: toolName, ...oneCall }),
  z.object({ type: z.literal("none") }),
]);

const promptFields = {
  model: z.string().min(1).openapi({ example: "pico" }),
  messages: z.array(wireMessage).min(1),
  system: textBlocks.nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish().openapi({
    description: "`any` and `tool` are enforced by a grammar. Default `auto`.",
  }),
  thinking: z
    .object({ type: z.enum(["enabled", "adaptive", "disabled"]) })
    .nullish()
    .openapi({ description: "Whether a model that can think does so first. Default: it does not." }),
  output_config: z
    .object({
      effort: z.enum(["low", "medium", "high", "xhigh", "max"]).nullish(),
      format: z.object({ type: z.literal("json_schema"), schema: jsonSchema }).nullish(),
    })
    .nullish(),
};

export const countTokensRequest: z.ZodType<CountTokensRequest> = z
  .object(promptFields)
  .openapi("AnthropicCountTokensRequest");

export const messageRequest: z.ZodType<MessageRequest> = z
  .object({
    ...promptFields,
    max_tokens: z.int().min(1).openapi({ description: "Most tokens of the answer." }),
    stop_sequences: z.array(z.string()).max(16).nullish().openapi({
      description: "The answer ends before any of these strings; at most 16.",
    }),
    temperature: z.number().min(0).max(2).nullish().openapi({
      description: "0 is greedy: the same request gives the same answer. Default 1.",
    }),
    top_p: z.number().min(0).max(1).nullish(),
    top_k: z.int().min(0).nullish(),
    stream: z.boolean().nullish(),
    metadata: withoutEffect.optional(),
  })
  .openapi("AnthropicMessageRequest");
