import { z } from "@hono/zod-openapi";
import { MullError } from "../../spec/errors.ts";
import type { GenerationOptions } from "../../spec/options.ts";
import type { Logger } from "../logger.ts";

type OptionType = "integer" | "float32" | "boolean" | "strings";

/** Every option of Ollama's, with its type. */
const TYPES: Readonly<Record<string, OptionType>> = {
  num_ctx: "integer",
  num_keep: "integer",
  num_predict: "integer",
  num_batch: "integer",
  num_gpu: "integer",
  num_thread: "integer",
  main_gpu: "integer",
  use_mmap: "boolean",
  draft_num_predict: "integer",
  seed: "integer",
  top_k: "integer",
  top_p: "float32",
  min_p: "float32",
  typical_p: "float32",
  repeat_last_n: "integer",
  temperature: "float32",
  repeat_penalty: "float32",
  presence_penalty: "float32",
  frequency_penalty: "float32",
  stop: "strings",
};

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
  const generation = { ...OLLAMA_DEFAULTS, ...saved, ...toGenerationOptions(given) };
  const asked = generation.maxTokens ?? -1;
  if (most !== undefined) generation.maxTokens = asked < 0 ? most : Math.min(asked, most);
  const contextLength = numberOf(given, "num_ctx");
  return {
    generation,
    contextLength: contextLength !== undefined && contextLength > 0 ? contextLength : undefined,
  };
}

/** Only what has a value of its type; integers without their fraction, as Go reads them. */
function checkTypes(wire: WireOptions, log: Logger): WireOptions {
  const checked: WireOptions = {};
  for (const [name, value] of Object.entries(wire)) {
    const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
    if (type === undefined) log.warn("invalid option provided", { option: name.slice(0, 50) });
    else if (value !== null && value !== undefined) checked[name] = checkType(name, type, value);
  }
  return checked;
}

function checkType(name: string, type: OptionType, value: unknown): unknown {
  const wrong = (wanted: string): never => {
    throw new MullError("invalid_argument", `option "${name}" must be of ${wanted}`, {
      details: { param: `options.${name}` },
    });
  };
  if (type === "strings") {
    if (!Array.isArray(value)) return wrong("type array");
    return value.every((item) => typeof item === "string") ? value : wrong("an array of strings");
  }
  if (type === "boolean") return typeof value === "boolean" ? value : wrong("type boolean");
  // 1e999 is valid JSON.
  if (typeof value !== "number" || !Number.isFinite(value)) return wrong(`type ${type}`);
  return type === "integer" ? Math.trunc(value) : value;
}

/** Values that llama.cpp takes for "off" or "all" become ours that mean the same; others keep for the engine to check. */
function toGenerationOptions(given: WireOptions): GenerationOptions {
  const options: GenerationOptions = {};
  const set = (
    name: string,
    to: Exclude<keyof GenerationOptions, "stop">,
    convert: (value: number) => number = (value) => value,
  ): void => {
    const value = numberOf(given, name);
    if (value !== undefined) options[to] = convert(value);
  };
  set("temperature", "temperature", (value) => Math.max(0, value));
  set("top_k", "topK", (value) => Math.max(0, value));
  // At least one token stays in any case.
  set("top_p", "topP", (value) => Math.min(1, Math.max(1e-6, value)));
  set("min_p", "minP", (value) => Math.max(0, value));
  set("repeat_last_n", "repeatLastN");
  set("repeat_penalty", "repeatPenalty");
  set("presence_penalty", "presencePenalty");
  set("frequency_penalty", "frequencyPenalty");
  set("num_predict", "maxTokens", (value) => Math.max(-1, value));
  const seed = numberOf(given, "seed");
  if (seed !== undefined && seed >= 0) options.seed = Number(BigInt.asUintN(32, BigInt(seed)));
  const stop = given["stop"] as string[] | undefined;
  if (stop !== undefined) options.stop = stop.filter((text) => text !== "");
  return options;
}

function numberOf(given: WireOptions, name: string): number | undefined {
  return given[name] as number | undefined;
}
