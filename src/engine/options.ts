import { MullError } from "../spec/errors.ts";
import type { StreamRequest } from "../spec/model.ts";
import type { GenerationOptions } from "../spec/options.ts";

type Rule = { from: number; to: number; integer?: boolean; openFrom?: boolean; openTo?: boolean };

const RULES: Record<Exclude<keyof GenerationOptions, "stop">, Rule> = {
  temperature: { from: 0, to: 100 },
  topK: { from: 0, to: 2 ** 31 - 1, integer: true },
  topP: { from: 0, to: 1, openFrom: true },
  minP: { from: 0, to: 1, openTo: true },
  repeatPenalty: { from: 0, to: 100, openFrom: true },
  frequencyPenalty: { from: -2, to: 2 },
  presencePenalty: { from: -2, to: 2 },
  repeatLastN: { from: -1, to: 2 ** 31 - 1, integer: true },
  seed: { from: 0, to: 2 ** 32 - 1, integer: true },
  maxTokens: { from: -1, to: 2 ** 31 - 1, integer: true },
};

const MOST_STOPS = 16;
const MOST_LOGPROBS = 20;
const THINK: readonly unknown[] = [true, false, "low", "medium", "high", "max"];

/** The options of a request that are not about its prompt, checked. */
export interface CheckedOptions {
  generation: GenerationOptions;
  format?: NonNullable<StreamRequest["format"]>;
  think?: NonNullable<StreamRequest["think"]>;
}

/** @throws MullError `invalid_argument` that names the option, its value and what it may be */
export function checkStreamOptions(request: StreamRequest): CheckedOptions {
  const {
    messages: _,
    signal: _signal,
    tools: _tools,
    toolChoice: _choice,
    raw,
    format,
    think,
    logprobs,
    overflow,
    client,
    ...generation
  } = request;
  requireOneOf("raw", raw, [true, false]);
  requireOneOf("think", think, THINK);
  requireOneOf("overflow", overflow, ["error", "shrink"]);
  if (client !== undefined && typeof client !== "string") requireOneOf("client", client, []);
  if (logprobs !== undefined)
    checkNumber("logprobs", logprobs, { from: 0, to: MOST_LOGPROBS, integer: true });
  const isSchema = typeof format === "boolean" || (typeof format === "object" && format !== null);
  if (format !== undefined && format !== "json" && !isSchema)
    requireOneOf("format", format, ["json", "a JSON schema"]);
  return {
    generation: checkGenerationOptions(generation),
    ...(format === undefined ? {} : { format }),
    ...(think === undefined ? {} : { think }),
  };
}

function requireOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new MullError("invalid_argument", `${name} is ${JSON.stringify(value)}.`, {
    hint: `It can be ${allowed.length === 0 ? "a text" : allowed.join(", ")}.`,
  });
}

/**
 * The generation options of a request, checked. Undefined counts as absent.
 * @throws MullError `invalid_argument` that names the option, its value and its range
 */
export function checkGenerationOptions(options: GenerationOptions): GenerationOptions {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name === "stop") checked["stop"] = checkStops(value);
    else if (name in RULES) checked[name] = checkNumber(name, value, RULES[name as keyof typeof RULES]);
    else throw new MullError("invalid_argument", `There is no generation option "${name}".`);
  }
  return checked;
}

function checkNumber(name: string, value: unknown, rule: Rule): number {
  const number = typeof value === "number" ? value : Number.NaN;
  const inside =
    (rule.openFrom ? number > rule.from : number >= rule.from) &&
    (rule.openTo ? number < rule.to : number <= rule.to) &&
    (!rule.integer || Number.isInteger(number));
  if (inside) return number;
  const range = `${rule.openFrom ? "above" : "from"} ${rule.from} ${rule.openTo ? "to below" : "to"} ${rule.to}`;
  throw new MullError("invalid_argument", `${name} is ${String(value)}.`, {
    hint: `It must be ${rule.integer ? "a whole number" : "a number"} ${range}.`,
  });
}

function checkStops(value: unknown): readonly string[] {
  const stops = typeof value === "string" ? [value] : value;
  const valid =
    Array.isArray(stops) &&
    stops.length <= MOST_STOPS &&
    stops.every((stop) => typeof stop === "string" && stop.length > 0 && stop.length <= 1000);
  if (valid) return stops as string[];
  throw new MullError("invalid_argument", "stop is not a list of strings.", {
    hint: `Give at most ${MOST_STOPS} strings of 1 to 1000 characters.`,
  });
}
