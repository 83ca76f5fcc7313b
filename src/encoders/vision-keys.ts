import type { Gguf } from "../gguf/gguf.ts";
import { requireInteger } from "../gguf/key-checks.ts";
import { MullError } from "../spec/errors.ts";
import type { PixelStatistics } from "./normalise.ts";

const MAX_WIDTH = 2 ** 17;
const MAX_SIDE = 8192;
const MAX_BLOCKS = 512;

/** What the header of every vision transformer says in the same keys. */
export interface VisionKeys extends PixelStatistics {
  /** Side of the picture, or the longest that it may have, in pixels. */
  imageSize: number;
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** Width of a patch's row. */
  embeddingLength: number;
  feedForwardLength: number;
  heads: number;
  blockCount: number;
}

/**
 * Reads the `clip.vision.*` keys that no vision transformer can do without.
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readVisionKeys(gguf: Gguf): VisionKeys {
  const size = (key: string, most: number): number => requireInteger(gguf, `clip.vision.${key}`, 1, most);
  const embeddingLength = size("embedding_length", MAX_WIDTH);
  const heads = size("attention.head_count", MAX_WIDTH);
  if (embeddingLength % heads !== 0) {
    throw invalidHeader(gguf, `rows of ${embeddingLength} cannot be divided among ${heads} attention heads`);
  }
  const imageStd = triple(gguf, "clip.vision.image_std");
  if (imageStd.some((deviation) => deviation <= 0)) {
    throw invalidHeader(gguf, "its image_std is not positive");
  }
  return {
    imageSize: size("image_size", MAX_SIDE),
    patchSize: size("patch_size", MAX_SIDE),
    embeddingLength,
    feedForwardLength: size("feed_forward_length", MAX_WIDTH),
    heads,
    blockCount: size("block_count", MAX_BLOCKS),
    imageMean: triple(gguf, "clip.vision.image_mean"),
    imageStd,
  };
}

function triple(gguf: Gguf, key: string): readonly [number, number, number] {
  const [red, green, blue, ...rest] = gguf.requireNumbers(key);
  if (red === undefined || green === undefined || blue === undefined || rest.length > 0) {
    throw invalidHeader(gguf, `${key} does not have three values`);
  }
  if (![red, green, blue].every(Number.isFinite)) throw invalidHeader(gguf, `${key} is not finite`);
  return [red, green, blue];
}

export function invalidHeader(gguf: Gguf, problem: string): MullError {
  return new MullError("invalid_model", `${gguf.path}: ${problem}.`, {
    hint: "Convert the model again; its header contradicts itself.",
  });
}
