import { z } from "@hono/zod-openapi";
import type { GenerationOptions } from "../../spec/options.ts";
import type { Nullish } from "../wire/wire-schemas.ts";
import { penalty, stopStrings, temperature, topP } from "./sampling-schemas.ts";

/** How to choose tokens, as both of OpenAI's completion APIs write it, and three extensions that llama.cpp's server has too. */
export type WireSampling = Nullish<{
  temperature: number;
  top_p: number;
  frequency_penalty: number;
  presence_penalty: number;
  seed: number;
  stop: string | string[];
  logit_bias: Record<string, number>;
  top_k: number;
  min_p: number;
  repeat_penalty: number;
}>;

export const samplingFields: { [Name in keyof WireSampling]-?: z.ZodType<WireSampling[Name]> } = {
  temperature: temperature.nullish(),
  top_p: topP.nullish(),
  frequency_penalty: penalty.nullish(),
  presence_penalty: penalty.nullish(),
  seed: z.int().nullish().openapi({
    description: "Seed of the random choice, of which the lowest 32 bits count. Choice i uses seed + i.",
  }),
  stop: stopStrings.nullish(),
  logit_bias: z
    .record(z.string(), z.number())
    .refine((bias) => Object.values(bias).every((value) => value === 0), "is not supported: leave it out")
    .nullish()
    .openapi({ description: "Not supported: empty, or zeros." }),
  top_k: z.int().min(0).nullish().openapi({ description: "Extension: keep only the k most likely tokens." }),
  min_p: z.number().min(0).lt(1).nullish().openapi({
    description: "Extension: drop tokens less likely than this times the most likely one.",
  }),
  repeat_penalty: z.number().gt(0).nullish().openapi({
    description: "Extension: divide the logits of tokens seen lately by this; 1 is off.",
  }),
};

/** -1, as llama.cpp's and Ollama's servers write it, is until the context is full. */
export const tokenLimit: z.ZodType<number> = z
  .int()
  .min(-1)
  .refine((limit) => limit !== 0, "expected at least 1, or -1 for no limit")
  .openapi({ description: "Most tokens of the answer; -1: until the context is full. Default -1." });

/** What OpenAI's clients expect where a request, and the model it asks for, are silent. */
export const OPENAI_DEFAULTS: GenerationOptions = { temperature: 1, topP: 1, topK: 0, minP: 0 };

export function toSampling(wire: WireSampling): GenerationOptions {
  const options: GenerationOptions = {};
  if (wire.temperature != null) options.temperature = wire.temperature;
  // mull keeps at least one token in any case; OpenAI writes that as 0.
  if (wire.top_p != null) options.topP = Math.max(wire.top_p, 1e-6);
  if (wire.frequency_penalty != null) options.frequencyPenalty = wire.frequency_penalty;
  if (wire.presence_penalty != null) options.presencePenalty = wire.presence_penalty;
  // OpenAI's penalties look at the whole text so far.
  if (wire.frequency_penalty || wire.presence_penalty) options.repeatLastN = -1;
  if (wire.seed != null) options.seed = Number(BigInt.asUintN(32, BigInt(wire.seed)));
  const stop = toStop(wire.stop);
  if (stop.length > 0) options.stop = stop;
  if (wire.top_k != null) options.topK = wire.top_k;
  if (wire.min_p != null) options.minP = wire.min_p;
  if (wire.repeat_penalty != null) options.repeatPenalty = wire.repeat_penalty;
  return options;
}

function toStop(stop: string | string[] | null | undefined): string[] {
  return [stop ?? []].flat().filter((text) => text !== "");
}
