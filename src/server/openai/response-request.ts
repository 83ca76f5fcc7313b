import { z } from "@hono/zod-openapi";
import { effort, type WireEffort } from "./effort.ts";
import { textFormat, type WireTextFormat } from "./response-format.ts";
import { wireItem, type WireItem } from "./response-items.ts";
import { samplingFields, tokenLimit, type WireSampling } from "./sampling.ts";
import { functionFields, type WireFunction } from "./tool-schemas.ts";
import { toolName, withoutEffect, type Nullish } from "../wire/wire-schemas.ts";

export type WireResponseToolChoice = "auto" | "none" | "required" | { type: "function"; name: string };

/** Body of `POST /v1/responses`. */
export interface ResponseRequest
  extends
    Pick<WireSampling, "temperature" | "top_p" | "top_k" | "min_p" | "repeat_penalty" | "seed" | "stop">,
    Nullish<{
      instructions: string;
      tools: ({ type: "function" } & WireFunction)[];
      tool_choice: WireResponseToolChoice;
      parallel_tool_calls: boolean;
      text: Nullish<{ format: WireTextFormat }>;
      max_output_tokens: number;
      top_logprobs: number;
      include: string[];
      reasoning: Nullish<{ effort: WireEffort }>;
      truncation: "auto" | "disabled";
      stream: boolean;
      metadata: Record<string, string>;
    }> {
  model: string;
  input: string | WireItem[];
}

const tool: z.ZodType<{ type: "function" } & WireFunction> = z.object({
  type: z.literal("function", { error: 'only tools of type "function" are supported' }),
  ...functionFields,
});

const toolChoice: z.ZodType<WireResponseToolChoice> = z
  .union([
    z.enum(["auto", "none", "required"]),
    z.object({
      type: z.literal("function", { error: 'only "auto", "none", "required" or one function are supported' }),
      name: toolName,
    }),
  ])
  .openapi({ description: "`required` and a name are enforced by a grammar. Default `auto`." });

const STATELESS = "is not supported: this server keeps no conversations, so send all items as input";

const { temperature, top_p, top_k, min_p, repeat_penalty, seed, stop } = samplingFields;

export const responseRequest: z.ZodType<ResponseRequest> = z
  .object({
    model: z.string().min(1).openapi({ example: "pico" }),
    input: z.union([z.string(), z.array(wireItem).min(1)]),
    instructions: z.string().nullish().openapi({ description: "A system message in front of the input." }),
    tools: z.array(tool).nullish(),
    tool_choice: toolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish().openapi({ description: "false: at most one call." }),
    text: z.object({ format: textFormat.nullish() }).nullish(),
    max_output_tokens: tokenLimit.nullish(),
    temperature,
    top_p,
    top_k,
    min_p,
    repeat_penalty,
    seed,
    stop,
    top_logprobs: z.int().min(0).max(20).nullish(),
    include: z.array(z.string()).nullish().openapi({
      description: '"message.output_text.logprobs" asks for log probabilities; others are without effect.',
    }),
    reasoning: z.object({ effort: effort.nullish() }).nullish(),
    truncation: z.enum(["auto", "disabled"]).nullish().openapi({
      description: "`auto`: pictures that do not fit the context are given fewer rows. Default `disabled`.",
    }),
    stream: z.boolean().nullish(),
    metadata: z.record(z.string(), z.string()).nullish().openapi({ description: "Comes back as it is." }),
    previous_response_id: z.null({ error: STATELESS }).optional(),
    conversation: z.null({ error: STATELESS }).optional(),
    prompt: z.null({ error: "is not supported: send the prompt as input" }).optional(),
    background: z.literal(false, { error: "is not supported: wait for the answer, or stream it" }).nullish(),
    store: withoutEffect.optional().openapi({ description: "Nothing is stored; answers say false." }),
    user: withoutEffect.optional(),
  })
  .openapi("OpenAIResponseRequest");
