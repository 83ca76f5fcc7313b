import { z } from "@hono/zod-openapi";
import { wireMessage, type WireMessage } from "./chat-messages.ts";
import { responseFormat, type WireResponseFormat } from "./response-format.ts";
import { samplingFields, tokenLimit, type WireSampling } from "./sampling.ts";
import { effort, type WireEffort } from "./effort.ts";
import { functionFields, type WireFunction } from "./tool-schemas.ts";
import { toolName, withoutEffect, type Nullish } from "../wire/wire-schemas.ts";

export type WireToolChoice = "auto" | "none" | "required" | { type: "function"; function: { name: string } };

/** Body of `POST /v1/chat/completions`. */
export interface ChatRequest
  extends
    WireSampling,
    Nullish<{
      max_tokens: number;
      max_completion_tokens: number;
      n: number;
      logprobs: boolean;
      top_logprobs: number;
      response_format: WireResponseFormat;
      tools: { type: "function"; function: WireFunction }[];
      tool_choice: WireToolChoice;
      parallel_tool_calls: boolean;
      stream: boolean;
      stream_options: Nullish<{ include_usage: boolean }>;
      reasoning_effort: WireEffort;
      overflow: "error" | "shrink";
    }> {
  model: string;
  messages: WireMessage[];
}

const tool: z.ZodType<{ type: "function"; function: WireFunction }> = z.object({
  type: z.literal("function", { error: 'only tools of type "function" are supported' }),
  function: z.object(functionFields),
});

const toolChoice: z.ZodType<WireToolChoice> = z
  .union([
    z.enum(["auto", "none", "required"]),
    z.object({
      type: z.literal("function", { error: 'only "auto", "none", "required" or one function are supported' }),
      function: z.object({ name: toolName }),
    }),
  ])
  .openapi({ description: "`required` and a name are enforced by a grammar. Default `auto`." });

export const chatRequest: z.ZodType<ChatRequest> = z
  .object({
    model: z.string().min(1).openapi({ example: "pico" }),
    messages: z.array(wireMessage).min(1),
    ...samplingFields,
    max_tokens: tokenLimit.nullish(),
    max_completion_tokens: tokenLimit.nullish(),
    n: z.int().min(1).max(8).nullish().openapi({ description: "How many answers. Default 1." }),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    response_format: responseFormat.nullish(),
    tools: z.array(tool).nullish(),
    tool_choice: toolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish().openapi({ description: "false: at most one call." }),
    stream: z.boolean().nullish(),
    stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
    reasoning_effort: effort.nullish(),
    overflow: z.enum(["error", "shrink"]).nullish().openapi({
      description: "Extension: what to do when pictures do not fit the context. Default `error`.",
    }),
    modalities: z.array(z.literal("text", { error: "only text is generated" })).nullish(),
    functions: z.array(z.unknown()).max(0, "is not supported: use tools").nullish(),
    user: withoutEffect.optional(),
    metadata: withoutEffect.optional(),
    store: withoutEffect.optional(),
  })
  .openapi("ChatCompletionRequest");
