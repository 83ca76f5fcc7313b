import type { Gguf } from "../gguf/gguf.ts";
import { optionalInteger, requirePositive } from "../gguf/key-checks.ts";
import { type VisionKeys, invalidHeader, readVisionKeys } from "./vision-keys.ts";

/** What a GGUF header says about the encoder of Kimi-VL (MoonViT). */
export interface KimiVlConfig extends Omit<VisionKeys, "imageSize"> {
  /** So many patches a side become one row. */
  merge: number;
  /** Side of the square of pixels that becomes a row. */
  factor: number;
  /** A picture of more patches is made smaller. */
  mostPatches: number;
  /** Patches a side of the learned positions. */
  positionsPerSide: number;
  epsilon: number;
  /** Width of the text model's rows. */
  projectionLength: number;
}

const DEFAULT_MERGE = 2;
/** `in_token_limit` of Kimi-VL-A3B-Instruct; files do not tell, and llama.cpp has this one, too. */
const DEFAULT_MOST_PATCHES = 4096;
/** Attention over more would take all memory, whatever a file says. */
const MOST_PATCHES = 65_536;

/**
 * Reads the `clip.*` keys of a projector of type `kimivl`.
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readKimiVlConfig(gguf: Gguf): KimiVlConfig {
  const { imageSize: _, ...keys } = readVisionKeys(gguf);
  const { patchSize, embeddingLength, heads } = keys;
  if ((embeddingLength / heads) % 4 !== 0) {
    throw invalidHeader(gguf, `heads of ${embeddingLength / heads} columns cannot be turned two ways`);
  }
  const merge = optionalInteger(gguf, "clip.vision.projector.scale_factor", 1, 8) ?? DEFAULT_MERGE;
  const mostPixels = optionalInteger(gguf, "clip.vision.image_max_pixels", 1, MOST_PATCHES * patchSize ** 2);
  const [columns, count = 0] = gguf.requireTensor("v.position_embd.weight").shape;
  const positionsPerSide = Math.sqrt(count);
  if (columns !== embeddingLength || !Number.isInteger(positionsPerSide)) {
    throw invalidHeader(gguf, `v.position_embd.weight is not a square of positions of ${embeddingLength}`);
  }
  return {
    ...keys,
    merge,
    factor: patchSize * merge,
    mostPatches: mostPixels === undefined ? DEFAULT_MOST_PATCHES : Math.ceil(mostPixels / patchSize ** 2),
    positionsPerSide,
    epsilon: requirePositive(gguf, "clip.vision.attention.layer_norm_epsilon"),
    projectionLength: gguf.requireTensor("mm.2.weight").shape[1] ?? 1,
  };
}
