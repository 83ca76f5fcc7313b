import { z } from "@hono/zod-openapi";
import { MullError } from "../../spec/errors.ts";
import type { GenerationOptions } from "../../spec/options.ts";
import {
  generationOptionsOf,
  loadOptionsOf,
  type Parameters,
  readParameters,
} from "../../store/modelfile/parameters.ts";
import type { Logger } from "../logger.ts";

export type WireOptions = Record<string, unknown>;

export const optionsField: z.ZodType<WireOptions> = z.record(z.string(), z.unknown()).openapi({
  type: "object",
  description:
    "How to choose tokens. num_ctx is the least context length: a model loaded with a shorter one is loaded again. " +
    "num_keep, num_batch, num_gpu, num_thread, main_gpu, use_mmap, typical_p and draft_num_predict are accepted, " +
    "without effect; what is no option is ignored, with a warning in the server's log.",
  properties: {
    num_ctx: { type: "integer" },
    num_predict: {
      type: "integer",
      default: -1,
      description: "Most tokens; -1 and -2: until the context is full.",
    },
    temperature: { type: "number", default: 0.8, description: "0 is greedy." },
    top_k: { type: "integer", default: 40, description: "0 keeps all." },
    top_p: { type: "number", default: 0.9 },
    min_p: { type: "number", default: 0 },
    seed: { type: "integer", default: -1, description: "Negative: a random one." },
    repeat_last_n: { type: "integer", default: 64, description: "-1 is the whole context." },
    repeat_penalty: { type: "number", default: 1 },
    presence_penalty: { type: "number", default: 0 },
    frequency_penalty: { type: "number", default: 0 },
    stop: { type: "array", items: { type: "string" } },
  },
});

/** What Ollama does where a request and its model are silent. */
const OLLAMA_DEFAULTS: GenerationOptions = {
  temperature: 0.8,
  topK: 40,
  topP: 0.9,
  minP: 0,
  repeatLastN: 64,
  repeatPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  maxTokens: -1,
};

export interface ReadOptions {
  generation: GenerationOptions;
  /** `num_ctx`. */
  contextLength: number | undefined;
}

/**
 * A request's `options` in our names, over what the model brings along, over Ollama's defaults.
 *
 * @param most most tokens that the server lets one answer have
 * @throws MullError `invalid_argument` in Ollama's words for a value of a wrong type
 */
export function readOptions(
  wire: WireOptions | null | undefined,
  saved: GenerationOptions | undefined,
  most: number | undefined,
  log: Logger,
): ReadOptions {
  const given = checkTypes(wire ?? {}, log);
  const generation = { ...OLLAMA_DEFAULTS, ...saved, ...generationOptionsOf(given) };
  const asked = generation.maxTokens ?? -1;
  if (most !== undefined) generation.maxTokens = asked < 0 ? most : Math.min(asked, most);
  return { generation, contextLength: loadOptionsOf(given).contextLength };
}

function checkTypes(wire: WireOptions, log: Logger): Parameters {
  const { parameters, unknown, wrong } = readParameters(wire);
  for (const name of unknown) log.warn("invalid option provided", { option: name.slice(0, 50) });
  for (const { name, message } of wrong) {
    throw new MullError("invalid_argument", message, { details: { param: `options.${name}` } });
  }
  return parameters;
}
