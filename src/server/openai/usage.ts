import { z } from "@hono/zod-openapi";
import type { Usage } from "../../spec/stream.ts";

/** `usage` of chat completions and completions. */
export interface WireUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: {
    cached_tokens: number;
    audio_tokens: number;
    image_tokens: number;
    text_tokens: number;
  };
  completion_tokens_details: {
    reasoning_tokens: number;
    audio_tokens: number;
    accepted_prediction_tokens: number;
    rejected_prediction_tokens: number;
  };
}

export const wireUsage: z.ZodType<WireUsage> = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({
      cached_tokens: z.int().openapi({ description: "Were in the KV cache already and cost nothing." }),
      audio_tokens: z.int(),
      image_tokens: z.int().openapi({ description: "Rows of the context that pictures took." }),
      text_tokens: z.int(),
    }),
    completion_tokens_details: z.object({
      reasoning_tokens: z.int(),
      audio_tokens: z.int(),
      accepted_prediction_tokens: z.int(),
      rejected_prediction_tokens: z.int(),
    }),
  })
  .openapi("CompletionUsage");

/**
 * Several answers to one prompt count its tokens once.
 *
 * @param prompts usages of the answers, grouped by prompt; none empty
 */
export function toWireUsage(prompts: readonly (readonly Usage[])[]): WireUsage {
  const first = prompts.map((answers) => answers[0]!.inputTokens);
  const answers = prompts.flat();
  const promptTokens = sum(first.map(({ total }) => total));
  const completionTokens = sum(answers.map(({ outputTokens }) => outputTokens));
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: {
      cached_tokens: sum(first.map(({ cached }) => cached)),
      audio_tokens: 0,
      image_tokens: sum(first.map(({ image }) => image)),
      text_tokens: sum(first.map(({ text }) => text)),
    },
    completion_tokens_details: {
      reasoning_tokens: sum(answers.map(({ reasoningTokens }) => reasoningTokens ?? 0)),
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
