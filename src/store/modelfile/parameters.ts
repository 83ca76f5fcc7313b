import type { GenerationOptions, LoadOptions } from "../../spec/options.ts";

/**
 * Every parameter of Ollama's, with its type: the one table for Modelfiles, `params` layers and the `options` of
 * requests. Those that change nothing here are read, kept and passed on.
 */
export const PARAMETER_TYPES = {
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
} as const;

/** Ollama had them once; Modelfiles that still set them are read, and they change nothing. */
export const DEPRECATED_PARAMETERS: readonly string[] = [
  "penalize_newline",
  "low_vram",
  "f16_kv",
  "logits_all",
  "vocab_only",
  "use_mlock",
  "mirostat",
  "mirostat_tau",
  "mirostat_eta",
];

export type ParameterName = keyof typeof PARAMETER_TYPES;

interface ValueOfType {
  integer: number;
  float32: number;
  boolean: boolean;
  strings: readonly string[];
}

/** Parameters by Ollama's names: what a `params` layer holds, as JSON. */
export type Parameters = {
  readonly [Name in ParameterName]?: ValueOfType[(typeof PARAMETER_TYPES)[Name]];
};

export interface ReadParameters {
  parameters: Parameters;
  /** Names that are no parameter, deprecated ones among them. */
  unknown: readonly string[];
  /** Values of a wrong type, each with a message in Ollama's words. */
  wrong: readonly { name: ParameterName; message: string }[];
}

export function isParameterName(name: string): name is ParameterName {
  return Object.hasOwn(PARAMETER_TYPES, name);
}

/** JSON values by name to parameters: what has the right type. Integers lose their fraction, as Go reads them. */
export function readParameters(values: Readonly<Record<string, unknown>>): ReadParameters {
  const parameters: Record<string, unknown> = {};
  const unknown: string[] = [];
  const wrong: { name: ParameterName; message: string }[] = [];
  for (const [name, value] of Object.entries(values)) {
    if (!isParameterName(name)) unknown.push(name);
    else if (value !== null && value !== undefined) {
      const fault = faultOf(name, value);
      if (fault !== undefined) wrong.push({ name, message: `option "${name}" must be of ${fault}` });
      else parameters[name] = PARAMETER_TYPES[name] === "integer" ? integer(value as number) : value;
    }
  }
  return { parameters, unknown, wrong };
}

/** What a value must be and is not. */
function faultOf(name: ParameterName, value: unknown): string | undefined {
  const type = PARAMETER_TYPES[name];
  if (type === "strings") {
    if (!Array.isArray(value)) return "type array";
    return value.every((item) => typeof item === "string") ? undefined : "an array of strings";
  }
  if (type === "boolean") return typeof value === "boolean" ? undefined : "type boolean";
  // 1e999 is valid JSON.
  return typeof value === "number" && Number.isFinite(value) ? undefined : `type ${type}`;
}

/** Without a negative zero, which nobody means. */
function integer(value: number): number {
  return Math.trunc(value) + 0;
}

/**
 * A `params` layer to parameters. Published layers hold what some version of some program knew, so nothing in them is
 * an error: what cannot be used is said in `warnings`.
 */
export function parseParametersLayer(text: string): { parameters: Parameters; warnings: string[] } {
  const root = parseJson(text);
  if (typeof root !== "object" || root === null || Array.isArray(root)) {
    return {
      parameters: {},
      warnings: ["The parameters of this model are no JSON object, and are ignored."],
    };
  }
  const { stop, ...values } = root as Record<string, unknown>;
  const stops = stop === undefined ? {} : { stop: typeof stop === "string" ? [stop] : stop };
  const { parameters, unknown, wrong } = readParameters({ ...values, ...stops });
  return {
    parameters,
    warnings: [
      ...unknown.map((name) => `The parameter '${name.slice(0, 50)}' of this model is ignored.`),
      ...wrong.map(({ name, message }) => `The parameter '${name}' of this model is ignored: ${message}.`),
    ],
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** In the order of their names, as Go writes them: the same parameters are the same blob. */
export function encodeParametersLayer(parameters: Parameters): string {
  const entries = Object.entries(parameters).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify(Object.fromEntries(entries));
}

/** Parameters that one value of ours stands for, with the values that mean the same. */
const GENERATION: Readonly<
  Record<string, readonly [Exclude<keyof GenerationOptions, "stop">, (value: number) => number | undefined]>
> = {
  temperature: ["temperature", (value) => Math.max(0, value)],
  top_k: ["topK", (value) => Math.max(0, value)],
  // At least one token stays in any case.
  top_p: ["topP", (value) => Math.min(1, Math.max(1e-6, value))],
  min_p: ["minP", (value) => Math.max(0, value)],
  repeat_penalty: ["repeatPenalty", (value) => value],
  frequency_penalty: ["frequencyPenalty", (value) => value],
  presence_penalty: ["presencePenalty", (value) => value],
  repeat_last_n: ["repeatLastN", (value) => value],
  // Negative: a random one.
  seed: ["seed", (value) => (value < 0 ? undefined : Number(BigInt.asUintN(32, BigInt(value))))],
  num_predict: ["maxTokens", (value) => Math.max(-1, value)],
};

/** Values that llama.cpp takes for "off" or "all" become ours that mean the same; others keep for the engine to check. */
export function generationOptionsOf(parameters: Parameters): GenerationOptions {
  const options: GenerationOptions = {};
  for (const [name, [option, convert]] of Object.entries(GENERATION)) {
    const value = parameters[name as ParameterName] as number | undefined;
    const converted = value === undefined ? undefined : convert(value);
    if (converted !== undefined) options[option] = converted;
  }
  if (parameters.stop !== undefined) options.stop = parameters.stop.filter((text) => text !== "");
  return options;
}

/** What of the parameters says how to load a model. */
export function loadOptionsOf({
  num_ctx: contextLength = 0,
  num_thread: threads = 0,
}: Parameters): Pick<LoadOptions, "contextLength" | "threads"> {
  return { ...(contextLength > 0 ? { contextLength } : {}), ...(threads > 0 ? { threads } : {}) };
}

/** Our options by Ollama's names. */
export function parametersOf(
  generation: GenerationOptions,
  { contextLength, threads }: Pick<LoadOptions, "contextLength" | "threads"> = {},
): Parameters {
  const parameters: Record<string, unknown> = {};
  if (contextLength !== undefined) parameters["num_ctx"] = contextLength;
  if (threads !== undefined) parameters["num_thread"] = threads;
  for (const [name, [option]] of Object.entries(GENERATION)) {
    if (generation[option] !== undefined) parameters[name] = generation[option];
  }
  const { stop = [] } = generation;
  if (stop.length > 0) parameters["stop"] = stop;
  return parameters;
}

const INTEGER = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

/** The value that a Modelfile writes as this text, or undefined when it is of another type. */
export function readParameterText(name: ParameterName, text: string): number | boolean | string | undefined {
  const type = PARAMETER_TYPES[name];
  if (type === "strings") return text;
  if (type === "boolean") return TRUE.includes(text) ? true : FALSE.includes(text) ? false : undefined;
  const value = Number(text) + 0;
  const fits = type === "integer" ? INTEGER.test(text) && Number.isSafeInteger(value) : FLOAT.test(text);
  return fits && Number.isFinite(value) ? value : undefined;
}

/** Name and value of each parameter as a Modelfile has them; one pair for each stop text. */
export function parameterTexts(parameters: Parameters): [name: ParameterName, text: string][] {
  return Object.entries(parameters).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as string[]) : [value]).map((item): [ParameterName, string] => [
      name as ParameterName,
      String(item),
    ]),
  );
}
