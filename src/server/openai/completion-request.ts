import { z } from "@hono/zod-openapi";
import type { StreamRequest } from "../../spec/model.ts";
import type { GenerationOptions } from "../../spec/options.ts";
import { invalidRequest } from "../wire/invalid-request.ts";
import { OPENAI_DEFAULTS, samplingFields, tokenLimit, toSampling, type WireSampling } from "./sampling.ts";
import { withoutEffect, type Nullish } from "../wire/wire-schemas.ts";

/** Body of `POST /v1/completions`. */
export interface CompletionRequest
  extends
    WireSampling,
    Nullish<{
      max_tokens: number;
      n: number;
      best_of: number;
      echo: boolean;
      logprobs: number;
      suffix: string;
      stream: boolean;
      stream_options: Nullish<{ include_usage: boolean }>;
    }> {
  model: string;
  prompt: string | string[];
}

const text = z.string({ error: "token ids are not supported: send the prompt as text" });

export const completionRequest: z.ZodType<CompletionRequest> = z
  .object({
    model: z.string().min(1).openapi({ example: "pico" }),
    prompt: z.union([text, z.array(text).min(1).max(32)]).openapi({
      description: "One text or several, at most 32. No template is applied.",
    }),
    ...samplingFields,
    max_tokens: tokenLimit.nullish().openapi({ description: "Most tokens of an answer. Default 16." }),
    n: z.int().min(1).max(8).nullish().openapi({ description: "Answers per prompt. Default 1." }),
    best_of: z.int().nullish().openapi({ description: "Not supported: leave it out, or the same as `n`." }),
    echo: z.boolean().nullish().openapi({ description: "Begin each answer with its prompt." }),
    logprobs: z.int().min(0).max(20).nullish().openapi({ description: "Alternatives per token." }),
    suffix: z.string().nullish().openapi({ description: "Not supported: empty." }),
    stream: z.boolean().nullish(),
    stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
    user: withoutEffect.optional(),
  })
  .openapi("CompletionRequest");

/** Most answers that one request may ask for, over all its prompts. */
const MAX_CHOICES = 32;

export const COMPLETION_DEFAULTS: GenerationOptions = { ...OPENAI_DEFAULTS, maxTokens: 16 };

/**
 * What a completion asks of a model, one request per prompt. Says nothing where the request is silent.
 *
 * @throws MullError `invalid_argument` for what is understood but not offered
 */
export function toStreamRequests(body: CompletionRequest): StreamRequest[] {
  const prompts = [body.prompt].flat();
  const n = body.n ?? 1;
  if (prompts.length * n > MAX_CHOICES) {
    throw invalidRequest("n", `${prompts.length} prompts times n = ${n} is over ${MAX_CHOICES} answers.`);
  }
  if (body.best_of != null && body.best_of !== n) {
    throw invalidRequest("best_of", "best_of is not supported.", "Ask for n answers and choose.");
  }
  if (body.suffix != null && body.suffix !== "") {
    throw invalidRequest("suffix", "suffix is not supported: the model only writes on.");
  }
  if (body.echo === true && body.logprobs != null) {
    throw invalidRequest("echo", "echo and logprobs do not go together: prompts have no log probabilities.");
  }
  const options: Partial<StreamRequest> = toSampling(body);
  if (body.max_tokens != null) options.maxTokens = body.max_tokens;
  if (body.logprobs != null) options.logprobs = body.logprobs;
  return prompts.map((prompt) => ({ messages: [{ role: "user", content: prompt }], raw: true, ...options }));
}
