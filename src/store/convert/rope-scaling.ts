import { type MetadataValue, float32, string, uint32 } from "../../gguf/metadata.ts";
import { invalidModel } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type JsonFile, objectOf, positiveOf, shown, sizeOf, textOf } from "./json-file.ts";

/** How rotary positions are stretched beyond the length that a model was trained on at first. */
export type RopeScaling =
  | { type: "none" }
  /** NTK scaling that sets in beyond the original length; up to there it is none. */
  | { type: "dynamic" }
  | { type: "linear"; factor: number }
  | {
      type: "yarn";
      factor: number;
      originalContext: number;
      attentionFactor: number | undefined;
      betaFast: number | undefined;
      betaSlow: number | undefined;
    }
  | { type: "llama3"; factor: number; originalContext: number; lowFactor: number; highFactor: number };

/**
 * Reads `rope_scaling`, or `rope_parameters` as transformers 5 calls it.
 * @throws MullError `invalid_model` for a kind that llama.cpp does not have for these models
 */
export function readRopeScaling(text: JsonFile): RopeScaling {
  const scaling = objectOf(text, "rope_parameters") ?? objectOf(text, "rope_scaling");
  if (scaling === undefined) return { type: "none" };
  const type = textOf(scaling, "rope_type") ?? textOf(scaling, "type") ?? "default";
  const need = (key: string): number => positiveOf(scaling, key) ?? fail(scaling, `has no "${key}"`);
  const originalContext = (): number =>
    sizeOf(scaling, "original_max_position_embeddings") ??
    sizeOf(text, "original_max_position_embeddings") ??
    sizeOf(text, "max_position_embeddings") ??
    fail(scaling, `has no "original_max_position_embeddings"`);
  switch (type) {
    case "default":
      return { type: "none" };
    case "dynamic":
      return { type };
    case "linear":
      return { type, factor: need("factor") };
    case "yarn":
      return {
        type,
        factor: need("factor"),
        originalContext: originalContext(),
        attentionFactor: positiveOf(scaling, "attention_factor"),
        betaFast: positiveOf(scaling, "beta_fast"),
        betaSlow: positiveOf(scaling, "beta_slow"),
      };
    case "llama3":
      return {
        type,
        factor: need("factor"),
        originalContext: originalContext(),
        lowFactor: positiveOf(scaling, "low_freq_factor") ?? 1,
        highFactor: positiveOf(scaling, "high_freq_factor") ?? 4,
      };
    default:
      throw new MullError("invalid_model", `${text.path} scales positions by ${shown(type)}.`, {
        hint: "mull converts models with linear, yarn, llama3 and dynamic scaling.",
      });
  }
}

function fail(scaling: JsonFile, problem: string): never {
  throw invalidModel(scaling.path, `its scaling of positions ${problem}`);
}

/** Keys of a GGUF header. llama3's scaling is a tensor instead: `ropeFactors`. */
export function ropeScalingKeys(architecture: string, scaling: RopeScaling): [string, MetadataValue][] {
  if (scaling.type !== "linear" && scaling.type !== "yarn") return [];
  const key = (name: string): string => `${architecture}.rope.scaling.${name}`;
  const keys: [string, MetadataValue][] = [
    [key("type"), string(scaling.type)],
    [key("factor"), float32(scaling.factor)],
  ];
  if (scaling.type === "linear") return keys;
  keys.push([key("original_context_length"), uint32(scaling.originalContext)]);
  const optional: [string, number | undefined][] = [
    ["yarn_attn_factor", scaling.attentionFactor],
    ["yarn_beta_fast", scaling.betaFast],
    ["yarn_beta_slow", scaling.betaSlow],
  ];
  for (const [name, value] of optional) {
    if (value !== undefined) keys.push([key(name), float32(value)]);
  }
  return keys;
}

/**
 * By what llama3's scaling divides the frequency of each pair of a head: waves that are short against the original
 * context stay as they are, long ones are stretched by the factor, those between by something between
 * (transformers: modeling_rope_utils.py, _compute_llama3_parameters).
 *
 * @returns (headLength / 2) float32, or undefined for other kinds of scaling
 */
export function ropeFactors(
  scaling: RopeScaling,
  headLength: number,
  ropeBase: number,
): Float32Array | undefined {
  if (scaling.type !== "llama3") return undefined;
  const { factor, originalContext, lowFactor, highFactor } = scaling;
  const longest = originalContext / lowFactor;
  const shortest = originalContext / highFactor;
  return Float32Array.from({ length: headLength / 2 }, (_, pair) => {
    const wave = 2 * Math.PI * ropeBase ** ((2 * pair) / headLength);
    if (wave < shortest) return 1;
    if (wave > longest) return factor;
    const smooth = (originalContext / wave - lowFactor) / (highFactor - lowFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
