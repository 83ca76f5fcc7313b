import type { Gguf } from "../../gguf/gguf.ts";
import type { MetadataValue } from "../../gguf/metadata.ts";
import { countWeights } from "../../store/facts/describe-gguf.ts";

/** Longest array that is shown without being asked for. */
const SHORT = 5;

/** Keys that have a place of their own in the answer. */
const ELSEWHERE: ReadonlySet<string> = new Set(["general.name", "tokenizer.chat_template"]);

/**
 * The metadata of a file for `model_info` and `projector_info`.
 *
 * @param verbose with vocabularies and other long arrays, which are null otherwise
 */
export function ggufValues(gguf: Gguf, verbose: boolean): Record<string, unknown> {
  const values: Record<string, unknown> = { "general.parameter_count": countWeights(gguf) };
  for (const [key, value] of gguf.metadata) {
    if (!ELSEWHERE.has(key)) values[key] = toJson(value, verbose);
  }
  return values;
}

function toJson(entry: MetadataValue, verbose: boolean): unknown {
  if (entry.type !== "array") return scalar(entry.value);
  if (!verbose && entry.value.length > SHORT) return null;
  if (entry.items === "string") return entry.value;
  const items: (number | bigint)[] = Array.from<number | bigint>(entry.value);
  return items.map((item) => (entry.items === "bool" ? item !== 0 : scalar(item)));
}

/** JSON knows neither 64-bit integers nor numbers that are none. */
function scalar(value: number | bigint | boolean | string): unknown {
  if (typeof value !== "bigint") return typeof value === "number" && !Number.isFinite(value) ? null : value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

export interface WireTensor {
  name: string;
  type: string;
  /** In ggml order: the length of a row first. */
  shape: readonly number[];
}

export function ggufTensors(gguf: Gguf): WireTensor[] {
  return [...gguf.tensors.values()].map(({ name, type, shape }) => ({
    name,
    type: type.toUpperCase(),
    shape,
  }));
}
