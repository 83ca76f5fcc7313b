import type { Gguf } from "../gguf/gguf.ts";
import { MullError } from "../spec/errors.ts";
import type { Compatibility } from "../spec/options.ts";

/** What a GGUF header says about a CLIP vision transformer. */
export interface ClipConfig {
  /** Side of the picture, in pixels. */
  imageSize: number;
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** Patches of a picture. */
  patches: number;
  /** Width of a row. */
  embeddingLength: number;
  feedForwardLength: number;
  heads: number;
  /** Blocks in the file. */
  blockCount: number;
  /** Blocks that are run; see `countBlocksToRun`. */
  blocksToRun: number;
  /** Whether the norm behind the last block is applied to what comes out. */
  postNorm: boolean;
  /** Where the class token's row stands: `last` is llama.cpp's way, in which every patch has its neighbour's position. */
  classToken: "first" | "last";
  layerNormEpsilon: number;
  /** Activation of the feed-forward layers. `gelu` is the tanh approximation, as GGUF has it. */
  activation: "gelu" | "gelu_quick" | "silu";
  /** LLaVA's first converter exchanged the names `ffn_up` and `ffn_down`; the shapes tell. */
  feedForwardNamesSwapped: boolean;
  /** Per channel, of pixels scaled to 0..1. */
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
}

/** No published encoder has more; attention over a hostile number of them would take all memory. */
const MAX_PATCHES = 4096;

/**
 * Reads the `clip.*` keys.
 * @param compat computes what this program does, where it differs from the model's own code
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readClipConfig(gguf: Gguf, compat?: Compatibility): ClipConfig {
  if (gguf.boolean("clip.has_vision_encoder") !== true) {
    throw new MullError("invalid_model", `${gguf.path} holds no vision encoder.`, {
      hint: "Give the projector file of a vision model; its name often starts with mmproj.",
    });
  }
  const size = (key: string): number => positiveInteger(gguf, `clip.vision.${key}`);
  const imageSize = size("image_size");
  const patchSize = size("patch_size");
  const embeddingLength = size("embedding_length");
  const heads = size("attention.head_count");
  const blockCount = size("block_count");
  const patches = (imageSize / patchSize) ** 2;
  if (imageSize % patchSize !== 0 || patches > MAX_PATCHES) {
    throw invalid(gguf, `pictures of ${imageSize} pixels cannot be cut into patches of ${patchSize}`);
  }
  if (embeddingLength % heads !== 0) {
    throw invalid(gguf, `rows of ${embeddingLength} cannot be divided among ${heads} attention heads`);
  }
  const layerNormEpsilon = gguf.requireNumber("clip.vision.attention.layer_norm_epsilon");
  if (!(layerNormEpsilon > 0 && layerNormEpsilon < 1))
    throw invalid(gguf, "its layer norm epsilon is not in 0..1");
  const imageStd = triple(gguf, "clip.vision.image_std");
  if (imageStd.some((deviation) => deviation <= 0)) throw invalid(gguf, "its image_std is not positive");
  const blocksToRun =
    compat === "llama.cpp" ? blocksOfLlamaCpp(gguf, blockCount) : countBlocksToRun(gguf, blockCount);
  return {
    imageSize,
    patchSize,
    patches,
    embeddingLength,
    feedForwardLength: size("feed_forward_length"),
    heads,
    blockCount,
    blocksToRun,
    // A norm behind the last block belongs to the rows that come out of that block, not to those of an earlier one.
    postNorm: blocksToRun === blockCount || compat === "llama.cpp",
    classToken: compat === "llama.cpp" ? "last" : "first",
    layerNormEpsilon,
    activation: activationOf(gguf),
    feedForwardNamesSwapped: gguf.tensors.get("v.blk.0.ffn_down.weight")?.shape[0] === embeddingLength,
    imageMean: triple(gguf, "clip.vision.image_mean"),
    imageStd,
  };
}

/** Block counts of the CLIP towers that were published: B, L, H, g, bigG. */
const WHOLE_TOWERS: readonly number[] = [12, 24, 32, 40, 48];

/**
 * How many blocks come before the rows that the projector was trained on.
 *
 * LLaVA uses `hidden_states[-2]`: the output of the last block but one. `clip.vision.feature_layer` says it plainly:
 * as the number of blocks to run, or, negative, as PyTorch's index into the hidden states, of which there is one
 * more than blocks. Converters before that key existed cut the last block off the file instead, so a file without
 * the key is run to its end, unless it still has all the blocks of a published tower: then the last one is left out.
 * (llama.cpp leaves it out in both cases, and thereby stops one block early on the cut files.)
 */
function countBlocksToRun(gguf: Gguf, blockCount: number): number {
  const layers = gguf.numbers("clip.vision.feature_layer");
  if (layers === undefined || layers.length === 0) {
    return WHOLE_TOWERS.includes(blockCount) ? blockCount - 1 : blockCount;
  }
  const [layer = 0] = layers;
  if (layers.length > 1)
    throw invalid(gguf, "it joins the rows of several feature layers, which mull cannot do");
  const blocks = layer < 0 ? blockCount + 1 + layer : layer;
  if (blocks < 0 || blocks > blockCount)
    throw invalid(gguf, `feature layer ${layer} is not among its ${blockCount}`);
  return blocks;
}

/** llama.cpp leaves the last block out unless a feature layer is given, and does not know negative ones. */
function blocksOfLlamaCpp(gguf: Gguf, blockCount: number): number {
  const [layer, ...rest] = gguf.numbers("clip.vision.feature_layer") ?? [];
  if (rest.length > 0)
    throw invalid(gguf, "it joins the rows of several feature layers, which mull cannot do");
  if (layer === undefined || layer < 0) return blockCount - 1;
  if (layer > blockCount) throw invalid(gguf, `feature layer ${layer} is not among its ${blockCount}`);
  return layer;
}

function activationOf(gguf: Gguf): ClipConfig["activation"] {
  if (gguf.boolean("clip.use_gelu") === true) return "gelu";
  return gguf.boolean("clip.use_silu") === true ? "silu" : "gelu_quick";
}

function positiveInteger(gguf: Gguf, key: string): number {
  const value = gguf.requireNumber(key);
  if (!Number.isSafeInteger(value) || value < 1) throw invalid(gguf, `${key} is ${value}`);
  return value;
}

function triple(gguf: Gguf, key: string): readonly [number, number, number] {
  const [red, green, blue, ...rest] = gguf.requireNumbers(key);
  if (red === undefined || green === undefined || blue === undefined || rest.length > 0) {
    throw invalid(gguf, `${key} does not have three values`);
  }
  if (![red, green, blue].every(Number.isFinite)) throw invalid(gguf, `${key} is not finite`);
  return [red, green, blue];
}

function invalid(gguf: Gguf, problem: string): MullError {
  return new MullError("invalid_model", `${gguf.path}: ${problem}.`, {
    hint: "Convert the model again; its header contradicts itself.",
  });
}
