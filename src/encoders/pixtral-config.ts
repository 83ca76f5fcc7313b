import type { Gguf } from "../gguf/gguf.ts";
import { optionalInteger, optionalPositive, requirePositive } from "../gguf/key-checks.ts";
import { type VisionKeys, invalidHeader, readVisionKeys } from "./vision-keys.ts";

/** What a GGUF header says about the encoder of Pixtral or of Mistral Small 3.1 and later. */
export interface PixtralConfig extends Omit<VisionKeys, "imageSize"> {
  /** A picture whose longer side is longer is made smaller, in pixels. */
  longestEdge: number;
  /** So many patches a side become one row: 1 for Pixtral 12B, 2 since Mistral Small 3.1. */
  merge: number;
  /** Side of the square of pixels that becomes a row. */
  factor: number;
  epsilon: number;
  /** Base of the rotary position embedding. */
  ropeBase: number;
  /** Activation of the gate in the feed-forward layers. */
  activation: "silu" | "gelu";
  /** Norm before the rows are merged. */
  mergesPatches: boolean;
  /** Width of the text model's rows. */
  projectionLength: number;
}

/** No published file has more (110 x 110); attention over a hostile number of them would take all memory. */
const MAX_PATCHES_PER_SIDE = 128;
const DEFAULT_ROPE_BASE = 10_000;

/**
 * Reads the `clip.*` keys of a projector of type `pixtral`.
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readPixtralConfig(gguf: Gguf): PixtralConfig {
  const { imageSize: longestEdge, ...keys } = readVisionKeys(gguf);
  const { patchSize, embeddingLength, heads } = keys;
  if ((embeddingLength / heads) % 4 !== 0) {
    throw invalidHeader(gguf, `heads of ${embeddingLength / heads} columns cannot be turned two ways`);
  }
  const mergesPatches = gguf.tensors.has("mm.patch_merger.weight");
  const merge = optionalInteger(gguf, "clip.vision.spatial_merge_size", 1, 8) ?? 1;
  if (merge > 1 && !mergesPatches) {
    throw invalidHeader(gguf, `it has no mm.patch_merger.weight to merge ${merge} x ${merge} patches with`);
  }
  const factor = patchSize * merge;
  if (longestEdge < factor || longestEdge > MAX_PATCHES_PER_SIDE * patchSize) {
    throw invalidHeader(gguf, `pictures of ${longestEdge} pixels cannot be cut into patches of ${patchSize}`);
  }
  return {
    ...keys,
    longestEdge,
    merge,
    factor,
    epsilon: requirePositive(gguf, "clip.vision.attention.layer_norm_epsilon"),
    ropeBase: optionalPositive(gguf, "clip.rope.freq_base") ?? DEFAULT_ROPE_BASE,
    activation: gguf.boolean("clip.use_gelu") === true ? "gelu" : "silu",
    mergesPatches,
    projectionLength: gguf.requireTensor("mm.2.weight").shape[1] ?? 1,
  };
}
