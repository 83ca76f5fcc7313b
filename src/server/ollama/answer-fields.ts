import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { TokenLogprob } from "../../spec/stream.ts";
import type { AnswerEnd } from "./answer-events.ts";
import { toNanoseconds } from "./timestamp.ts";

interface WireTopLogprob {
  token: string;
  logprob: number;
  bytes: readonly number[];
}

export interface WireLogprob extends WireTopLogprob {
  top_logprobs?: WireTopLogprob[];
}

/** What the last line of an answer says about the whole. */
export interface AnswerMetrics {
  done_reason: "stop" | "length";
  total_duration: number;
  load_duration: number;
  prompt_eval_count: number;
  prompt_eval_duration: number;
  eval_count: number;
  eval_duration: number;
  prompt_eval_cached: number;
  prompt_eval_image: number;
  receipts: readonly MediaReceipt[];
  truncated?: number;
}

const nanoseconds = z.int().openapi({ description: "In nanoseconds." });

export const metricFields: Record<string, z.ZodType> = {
  done_reason: z.enum(["stop", "length", "load", "unload"]).optional(),
  total_duration: nanoseconds.optional(),
  load_duration: nanoseconds.optional(),
  prompt_eval_count: z
    .int()
    .optional()
    .openapi({ description: "Tokens of the prompt, pictures and cached included." }),
  prompt_eval_duration: nanoseconds.optional(),
  eval_count: z.int().optional().openapi({ description: "Tokens of the answer." }),
  eval_duration: nanoseconds.optional(),
  prompt_eval_cached: z.int().optional().openapi({
    description: "Extension: of the prompt's tokens, those that were in the KV cache and cost nothing.",
  }),
  prompt_eval_image: z
    .int()
    .optional()
    .openapi({ description: "Extension: of the prompt's tokens, the rows of pictures." }),
  receipts: z
    .array(z.custom<MediaReceipt>().openapi({ type: "object" }))
    .optional()
    .openapi({
      description:
        "Extension, in the last line: per picture what the model really saw of it: format, size, SHA-256, what was " +
        "done to it step by step, the rows of the context that it took, and whether it was cached.",
    }),
  truncated: z
    .int()
    .optional()
    .openapi({ description: "Extension: messages that were left out because they did not fit the context." }),
};

const topFields = {
  token: z.string(),
  logprob: z
    .number()
    .openapi({ description: "Natural logarithm of its probability before any sampling option." }),
  bytes: z.array(z.int()).openapi({ description: "UTF-8." }),
};

export const logprobsField: z.ZodType = z
  .array(z.object({ ...topFields, top_logprobs: z.array(z.object(topFields)).optional() }))
  .optional();

/** @param totalMs from the request until now */
export function answerMetrics(end: AnswerEnd, totalMs: number): AnswerMetrics {
  const { reason, usage, timings, loadMs, receipts, leftOut } = end;
  return {
    done_reason: reason === "length" ? "length" : "stop",
    total_duration: toNanoseconds(totalMs),
    // The engine's own is not 0 when it had to be started anew after a crash.
    load_duration: toNanoseconds(loadMs + timings.loadMs),
    prompt_eval_count: usage.inputTokens.total,
    prompt_eval_duration: toNanoseconds(timings.encodeMs + timings.prefillMs),
    eval_count: usage.outputTokens,
    eval_duration: toNanoseconds(timings.generateMs),
    prompt_eval_cached: usage.inputTokens.cached,
    prompt_eval_image: usage.inputTokens.image,
    receipts,
    ...(leftOut === 0 ? {} : { truncated: leftOut }),
  };
}

export function toWireLogprobs(logprobs: readonly TokenLogprob[]): WireLogprob[] {
  return logprobs.map(({ top, ...token }) => ({
    ...toWireTop(token),
    ...(top.length === 0 ? {} : { top_logprobs: top.map(toWireTop) }),
  }));
}

function toWireTop({ token, logprob, bytes }: Omit<TokenLogprob, "top">): WireTopLogprob {
  // JSON has no -Infinity.
  return { token, logprob: Math.max(logprob, -9999), bytes };
}
