import { MullError } from "../../spec/errors.ts";
import type { GenerationOptions } from "../../spec/options.ts";

type NumberKeys<T> = { [K in keyof T]-?: number extends T[K] ? K : never }[keyof T];

/** A number that the user can set, by flag (`--top-k 5`) or in a session (`/set parameter top_k 5`). */
export interface Parameter {
  /** The name that Ollama users know. */
  name: string;
  /** Where the number goes; `contextLength` and `threads` need the model to be loaded again. */
  key: Exclude<NumberKeys<GenerationOptions>, undefined> | "contextLength" | "threads";
  integer: boolean;
  accepts: (value: number) => boolean;
  /** The accepted values in words, for help and errors. */
  range: string;
  help: string;
}

const atLeast = (minimum: number) => (value: number) => value >= minimum;

export const PARAMETERS: readonly Parameter[] = [
  {
    name: "temperature",
    key: "temperature",
    integer: false,
    accepts: atLeast(0),
    range: "0 or more",
    help: "how freely to choose words; 0 always takes the likeliest (default 0)",
  },
  {
    name: "top_k",
    key: "topK",
    integer: true,
    accepts: atLeast(0),
    range: "0 or more",
    help: "choose among the k likeliest tokens; 0 is all (default 40)",
  },
  {
    name: "top_p",
    key: "topP",
    integer: false,
    accepts: (value) => value > 0 && value <= 1,
    range: "above 0, at most 1",
    help: "choose among the likeliest tokens that together reach p (default 0.95)",
  },
  {
    name: "min_p",
    key: "minP",
    integer: false,
    accepts: (value) => value >= 0 && value < 1,
    range: "0 or more, below 1",
    help: "drop tokens less likely than p times the likeliest (default 0.05)",
  },
  {
    name: "repeat_penalty",
    key: "repeatPenalty",
    integer: false,
    accepts: (value) => value > 0,
    range: "above 0",
    help: "make tokens that were just used less likely; 1 is off (default 1)",
  },
  {
    name: "repeat_last_n",
    key: "repeatLastN",
    integer: true,
    accepts: atLeast(-1),
    range: "-1 or more",
    help: "how many tokens back the penalties look; -1 is all (default 64)",
  },
  {
    name: "frequency_penalty",
    key: "frequencyPenalty",
    integer: false,
    accepts: (value) => value >= -2 && value <= 2,
    range: "-2 to 2",
    help: "make tokens less likely with every use (default 0)",
  },
  {
    name: "presence_penalty",
    key: "presencePenalty",
    integer: false,
    accepts: (value) => value >= -2 && value <= 2,
    range: "-2 to 2",
    help: "make tokens that were used less likely (default 0)",
  },
  {
    name: "seed",
    key: "seed",
    integer: true,
    accepts: (value) => value >= 0 && value <= 0xffff_ffff,
    range: "0 to 4294967295",
    help: "makes a random choice repeatable",
  },
  {
    name: "num_predict",
    key: "maxTokens",
    integer: true,
    accepts: atLeast(-1),
    range: "-1 or more",
    help: "most tokens in an answer; -1 is until the context is full (default -1)",
  },
  {
    name: "num_ctx",
    key: "contextLength",
    integer: true,
    accepts: (value) => value >= 16 && value <= 2 ** 22,
    range: "16 to 4194304",
    help: "context length in tokens (default: the model's, at most 4096)",
  },
  {
    name: "threads",
    key: "threads",
    integer: true,
    accepts: (value) => value >= 1 && value <= 512,
    range: "1 to 512",
    help: "threads of the engine (default: one per physical core, one for a small model)",
  },
];

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @throws MullError `invalid_argument` that says which values are accepted */
export function parseParameter(parameter: Parameter, text: string): number {
  const value = DECIMAL.test(text.trim()) ? Number(text) : Number.NaN;
  const usable = parameter.integer ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (usable && parameter.accepts(value)) return value;
  const kind = parameter.integer ? "a whole number" : "a number";
  throw new MullError(
    "invalid_argument",
    `${parameter.name} must be ${kind}, ${parameter.range}; got '${text}'.`,
  );
}
