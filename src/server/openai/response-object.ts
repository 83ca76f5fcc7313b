import { z } from "@hono/zod-openapi";
import type { StreamRequest } from "../../spec/model.ts";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { Usage } from "../../spec/stream.ts";
import { wireLogprob, type WireLogprob } from "./logprobs.ts";
import { wireReceipts } from "../wire/receipts.ts";
import type { ResponseRequest } from "./response-request.ts";

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: WireLogprob[];
}

export interface SummaryText {
  type: "summary_text";
  text: string;
}

export type OutputItem =
  | { type: "message"; id: string; status: ItemStatus; role: "assistant"; content: OutputText[] }
  | { type: "reasoning"; id: string; status: ItemStatus; summary: SummaryText[] }
  | {
      type: "function_call";
      id: string;
      call_id: string;
      name: string;
      arguments: string;
      status: ItemStatus;
    };

export interface ResponseUsage {
  input_tokens: number;
  input_tokens_details: {
    cached_tokens: number;
    cache_write_tokens: number;
    image_tokens: number;
    text_tokens: number;
  };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
}

/** What a response says of itself whatever comes of it. */
export interface ResponseHead {
  id: string;
  object: "response";
  /** Unix time in seconds. */
  created_at: number;
  model: string;
  [echo: string]: unknown;
}

export interface ResponseObject extends ResponseHead {
  status: "in_progress" | "completed" | "incomplete" | "failed";
  error: { code: string; message: string } | null;
  incomplete_details: { reason: "max_output_tokens" } | null;
  output: OutputItem[];
  usage: ResponseUsage | null;
  receipts?: MediaReceipt[];
}

/** @param request what the model is asked, with all defaults in it */
export function responseHead(id: string, body: ResponseRequest, request: StreamRequest): ResponseHead {
  return {
    id,
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    model: body.model,
    background: false,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    service_tier: "default",
    store: false,
    temperature: request.temperature ?? null,
    text: { format: body.text?.format ?? { type: "text" } },
    tool_choice: body.tool_choice ?? "auto",
    tools: (body.tools ?? []).map(({ name, description, parameters, strict }) => ({
      type: "function",
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? false,
    })),
    top_logprobs: request.logprobs ?? 0,
    top_p: request.topP ?? null,
    truncation: body.truncation ?? "disabled",
  };
}

export function toResponseUsage({ inputTokens, outputTokens, reasoningTokens }: Usage): ResponseUsage {
  return {
    input_tokens: inputTokens.total,
    input_tokens_details: {
      cached_tokens: inputTokens.cached,
      cache_write_tokens: 0,
      image_tokens: inputTokens.image,
      text_tokens: inputTokens.text,
    },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens ?? 0 },
    total_tokens: inputTokens.total + outputTokens,
  };
}

const status = z.enum(["in_progress", "completed", "incomplete"]);

export const responseObject: z.ZodType = z
  .object({
    id: z.string(),
    object: z.literal("response"),
    created_at: z.int(),
    status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
    model: z.string(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    incomplete_details: z.object({ reason: z.literal("max_output_tokens") }).nullable(),
    output: z.array(
      z.discriminatedUnion("type", [
        z.object({
          type: z.literal("message"),
          id: z.string(),
          status,
          role: z.literal("assistant"),
          content: z.array(
            z.object({ type: z.literal("output_text"), text: z.string(), logprobs: z.array(wireLogprob) }),
          ),
        }),
        z.object({
          type: z.literal("reasoning"),
          id: z.string(),
          status,
          summary: z.array(z.object({ type: z.literal("summary_text"), text: z.string() })),
        }),
        z.object({
          type: z.literal("function_call"),
          id: z.string(),
          call_id: z.string(),
          name: z.string(),
          arguments: z.string().openapi({ description: "JSON text." }),
          status,
        }),
      ]),
    ),
    store: z.literal(false),
    usage: z
      .object({
        input_tokens: z.int(),
        input_tokens_details: z.object({
          cached_tokens: z.int(),
          cache_write_tokens: z.int(),
          image_tokens: z.int(),
          text_tokens: z.int(),
        }),
        output_tokens: z.int(),
        output_tokens_details: z.object({ reasoning_tokens: z.int() }),
        total_tokens: z.int(),
      })
      .nullable(),
    receipts: wireReceipts.optional(),
  })
  .openapi("OpenAIResponse");
