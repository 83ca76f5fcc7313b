import type { Gguf } from "../gguf/gguf.ts";
import { optionalInteger, requireInteger, requirePositive } from "../gguf/key-checks.ts";
import { MullError } from "../spec/errors.ts";
import type { SmartResizeLimits } from "./smart-resize.ts";

/** Generations of Qwen's vision encoder, by the projector type in the header. */
export type QwenProjectorType = "qwen2vl_merger" | "qwen2.5vl_merger" | "qwen3vl_merger";

/** What a GGUF header says about a Qwen vision encoder. */
export interface QwenConfig {
  type: QwenProjectorType;
  /** Side of a usual picture, in pixels. */
  imageSize: number;
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** So many patches a side become one row. */
  merge: number;
  /** Width of a patch's row. */
  embeddingLength: number;
  feedForwardLength: number;
  heads: number;
  blockCount: number;
  epsilon: number;
  /** Root mean square norms instead of layer norms. */
  rmsNorm: boolean;
  /** Feed-forward layers with a gate. */
  gated: boolean;
  /** Activation of the feed-forward layers. `gelu` is the tanh approximation, as GGUF has it. */
  activation: "gelu" | "gelu_quick" | "silu";
  /** Old converters exchanged the names `ffn_up` and `ffn_down`; the shapes tell. */
  feedForwardNamesSwapped: boolean;
  /** One matrix for queries, keys and values. */
  fusedAttention: boolean;
  /** Side of an attention window, in rows of the text model. Undefined: every block sees the whole picture. */
  window?: number;
  /** Every so many blocks one sees the whole picture. */
  wholePattern: number;
  /** Patches a side of the learned position embeddings, if there are any. */
  positionsPerSide?: number;
  /** Blocks after which the patches also go to the text model past the rest of the encoder. */
  deepstackBlocks: readonly number[];
  /** Width of the text model's rows, of which one for every deepstack block follows the first. */
  projectionLength: number;
  limits: SmartResizeLimits;
  /** Per channel, of pixels scaled to 0..1. */
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
}

const MAX_WIDTH = 2 ** 17;
const MAX_SIDE = 8192;
const MAX_BLOCKS = 512;
/** No picture may take more rows than this, whatever a file says: attention over more would take all memory. */
const MAX_ROWS = 16_384;
/** Qwen's own limit is 16384 rows, which no context of a usual length can hold; llama.cpp has this one, too. */
const DEFAULT_ROWS = 4096;
/** preprocessor_config.json of the published models. */
const LEAST_PIXELS = { qwen2vl_merger: 56 * 56, "qwen2.5vl_merger": 56 * 56, qwen3vl_merger: 256 * 256 };
/** Side of a window in pixels where the file does not say: every published Qwen2.5-VL has this one. */
const DEFAULT_WINDOW = 112;

/**
 * Reads the `clip.*` keys of a Qwen2-VL, Qwen2.5-VL or Qwen3-VL projector. The length of the feed-forward layers is
 * that of their tensors: files of Qwen2-VL say 0, or the text model's.
 * @throws MullError `invalid_model` for a missing or impossible value
 */
export function readQwenConfig(gguf: Gguf, type: QwenProjectorType): QwenConfig {
  const size = (key: string, most: number): number => requireInteger(gguf, `clip.vision.${key}`, 1, most);
  const patchSize = size("patch_size", MAX_SIDE);
  const merge = optionalInteger(gguf, "clip.vision.spatial_merge_size", 1, 8) ?? 2;
  const embeddingLength = size("embedding_length", MAX_WIDTH);
  const heads = size("attention.head_count", MAX_WIDTH);
  const blockCount = size("block_count", MAX_BLOCKS);
  if (embeddingLength % heads !== 0 || (embeddingLength / heads) % 4 !== 0) {
    throw invalid(gguf, `${heads} attention heads do not divide rows of ${embeddingLength} into fours`);
  }
  const [first = 0, second = 0] = gguf.requireTensor("v.blk.0.ffn_down.weight").shape;
  const feedForwardNamesSwapped = type !== "qwen3vl_merger" && first === embeddingLength;
  const projectionLength = gguf.requireTensor("mm.2.weight").shape[1] ?? 1;
  return {
    type,
    imageSize: size("image_size", MAX_SIDE),
    patchSize,
    merge,
    embeddingLength,
    feedForwardLength: feedForwardNamesSwapped ? second : first,
    heads,
    blockCount,
    epsilon: requirePositive(gguf, "clip.vision.attention.layer_norm_epsilon"),
    rmsNorm: type === "qwen2.5vl_merger",
    gated: gguf.tensors.has("v.blk.0.ffn_gate.weight"),
    activation: activationOf(gguf),
    feedForwardNamesSwapped,
    fusedAttention: gguf.tensors.has("v.blk.0.attn_qkv.weight"),
    ...windowOf(gguf, type, patchSize * merge),
    ...positionsOf(gguf, type, embeddingLength),
    deepstackBlocks: Array.from({ length: blockCount }, (_, block) => block).filter((block) =>
      gguf.tensors.has(`v.deepstack.${block}.fc1.weight`),
    ),
    projectionLength,
    limits: limitsOf(gguf, type, patchSize * merge),
    imageMean: triple(gguf, "clip.vision.image_mean"),
    imageStd: triple(gguf, "clip.vision.image_std"),
  };
}

function activationOf(gguf: Gguf): QwenConfig["activation"] {
  if (gguf.boolean("clip.use_gelu") === true) return "gelu";
  return gguf.boolean("clip.use_silu") === true ? "silu" : "gelu_quick";
}

/** @param factor side of the square of pixels that becomes a row */
function windowOf(
  gguf: Gguf,
  type: QwenProjectorType,
  factor: number,
): Pick<QwenConfig, "window" | "wholePattern"> {
  const pattern = optionalInteger(gguf, "clip.vision.n_wa_pattern", 0, MAX_BLOCKS) ?? 0;
  if (pattern === 0) {
    if (type !== "qwen2.5vl_merger") return { wholePattern: 1 };
    throw invalid(gguf, "clip.vision.n_wa_pattern does not say which blocks see the whole picture");
  }
  const pixels = optionalInteger(gguf, "clip.vision.window_size", 1, MAX_SIDE) ?? DEFAULT_WINDOW;
  const window = Math.floor(pixels / factor);
  if (window < 1) throw invalid(gguf, `a window of ${pixels} pixels is smaller than a row's ${factor}`);
  return { window, wholePattern: pattern };
}

function positionsOf(
  gguf: Gguf,
  type: QwenProjectorType,
  embeddingLength: number,
): Pick<QwenConfig, "positionsPerSide"> {
  if (type !== "qwen3vl_merger") return {};
  const [columns, count = 0] = gguf.requireTensor("v.position_embd.weight").shape;
  const positionsPerSide = Math.sqrt(count);
  if (columns !== embeddingLength || !Number.isInteger(positionsPerSide)) {
    throw invalid(gguf, `v.position_embd.weight is not a square of positions of ${embeddingLength}`);
  }
  return { positionsPerSide };
}

function limitsOf(gguf: Gguf, type: QwenProjectorType, factor: number): SmartResizeLimits {
  const pixels = (key: string): number | undefined =>
    optionalInteger(gguf, `clip.vision.${key}`, 1, MAX_ROWS * factor ** 2);
  const maxPixels = Math.max(factor ** 2, pixels("image_max_pixels") ?? DEFAULT_ROWS * factor ** 2);
  const minPixels = pixels("image_min_pixels") ?? LEAST_PIXELS[type];
  return { factor, minPixels: Math.min(minPixels, maxPixels), maxPixels };
}

function triple(gguf: Gguf, key: string): readonly [number, number, number] {
  const [red = Number.NaN, green = Number.NaN, blue = Number.NaN] = gguf.requireNumbers(key);
  if ([red, green, blue].every(Number.isFinite)) return [red, green, blue];
  throw invalid(gguf, `${key} does not have three values`);
}

function invalid(gguf: Gguf, problem: string): MullError {
  return new MullError("invalid_model", `${gguf.path}: ${problem}.`, {
    hint: "Convert the model again; its header contradicts itself.",
  });
}
