import type { Gguf } from "../gguf/gguf.ts";
import { optionalInteger, requirePositive } from "../gguf/key-checks.ts";
import { type VisionKeys, invalidHeader, readVisionKeys } from "./vision-keys.ts";

/** What a GGUF header says about an InternVL encoder. */
export interface InternVlConfig extends VisionKeys {
  /** Patches of a tile. */
  patchesPerSide: number;
  /** So many patches a side become one row of the text model. */
  merge: number;
  /** Rows of the text model for one tile. */
  rowsPerTile: number;
  minTiles: number;
  maxTiles: number;
  epsilon: number;
  /** Root mean square norms (the encoder of 6 billion weights) instead of layer norms (that of 300 million). */
  rmsNorm: boolean;
  /** Activation of the feed-forward layers. */
  activation: "gelu" | "silu";
  /** Width of the text model's rows. */
  projectionLength: number;
}

/** No published encoder has more; attention over a hostile number of them would take all memory. */
const MAX_PATCHES = 4096;
const DEFAULT_MERGE = 2;
const DEFAULT_MAX_TILES = 12;
/** InternVL's own code goes up to 40 for single pictures. */
const MOST_TILES = 64;

/**
 * Reads the `clip.*` keys of a projector of type `internvl`.
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readInternVlConfig(gguf: Gguf): InternVlConfig {
  const keys = readVisionKeys(gguf);
  const { imageSize, patchSize } = keys;
  const patchesPerSide = imageSize / patchSize;
  if (!Number.isInteger(patchesPerSide) || patchesPerSide ** 2 > MAX_PATCHES) {
    throw invalidHeader(gguf, `tiles of ${imageSize} pixels cannot be cut into patches of ${patchSize}`);
  }
  const merge = optionalInteger(gguf, "clip.vision.projector.scale_factor", 1, 16) ?? DEFAULT_MERGE;
  if (patchesPerSide % merge !== 0) {
    throw invalidHeader(gguf, `${patchesPerSide} patches a side cannot be merged by ${merge}`);
  }
  const tiles = (end: "min" | "max"): number | undefined =>
    optionalInteger(gguf, `clip.vision.preproc_${end}_tiles`, 1, MOST_TILES);
  const maxTiles = tiles("max") ?? DEFAULT_MAX_TILES;
  const minTiles = tiles("min") ?? 1;
  if (minTiles > maxTiles) throw invalidHeader(gguf, `at least ${minTiles} tiles are more than ${maxTiles}`);
  return {
    ...keys,
    patchesPerSide,
    merge,
    rowsPerTile: (patchesPerSide / merge) ** 2,
    minTiles,
    maxTiles,
    epsilon: requirePositive(gguf, "clip.vision.attention.layer_norm_epsilon"),
    rmsNorm: !gguf.tensors.has("v.blk.0.ln1.bias"),
    activation: gguf.boolean("clip.use_silu") === true ? "silu" : "gelu",
    projectionLength: gguf.requireTensor("mm.model.mlp.3.weight").shape[1] ?? 1,
  };
}
