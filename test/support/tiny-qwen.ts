import { randomTensor } from "../../bench/random.ts";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type MetadataValue, bool, float32, float32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

export type QwenType = "qwen2vl_merger" | "qwen2.5vl_merger" | "qwen3vl_merger";

/** Shape of a random Qwen-VL projector. */
export interface QwenProjectorShape {
  type: QwenType;
  patchSize: number;
  embedding: number;
  feedForward: number;
  blocks: number;
  heads: number;
  textEmbedding: number;
  /** Every so many blocks one sees the whole picture (Qwen2.5-VL). */
  wholePattern: number;
  /** Side of a window in pixels. Default: not written, which means 112. */
  windowSize?: number | undefined;
  /** Blocks with a second way to the text model (Qwen3-VL). */
  deepstack: readonly number[];
  /** Patches a side of the learned positions (Qwen3-VL). */
  positionsPerSide: number;
  /** True exchanges the names `ffn_up` and `ffn_down`, and says 0 for their length, as Qwen2-VL's first converter did. */
  legacy: boolean;
  minPixels?: number;
  maxPixels?: number;
  /** Type of the matrices; all else is f32. */
  matrices: "f32" | "f16";
  seed: number;
}

/** One row per 16 x 16 pixels, for text models of width 64. */
export const TINY_QWEN: QwenProjectorShape = {
  type: "qwen2vl_merger",
  patchSize: 8,
  embedding: 32,
  feedForward: 96,
  blocks: 4,
  heads: 2,
  textEmbedding: 64,
  wholePattern: 2,
  deepstack: [0, 2],
  positionsPerSide: 6,
  legacy: false,
  matrices: "f32",
  seed: 1,
};

/** What the three generations differ in. */
export const TINY_QWENS: Readonly<Record<QwenType, Partial<QwenProjectorShape>>> = {
  qwen2vl_merger: {},
  // Windows of 3 x 3 rows.
  "qwen2.5vl_merger": { windowSize: 48 },
  // Without a limit of their own such files want 65536 pixels at least: too much for float64.
  qwen3vl_merger: { minPixels: 56 * 56 },
};

/** A text model of the right kind for such a projector. */
export function tinyQwenText(type: QwenType): Partial<TextModelShape> {
  const controlTokens = ["<|vision_start|>", "<|vision_end|>"];
  return type === "qwen3vl_merger"
    ? { architecture: "qwen3vl", ropeSections: [4, 2, 2, 0], deepstackLayers: 2, blocks: 3, controlTokens }
    : { architecture: "qwen2vl", ropeSections: [2, 3, 3, 0], controlTokens };
}

/** Writes a projector and its text model; returns what `load` takes. */
export async function writeTinyQwen(
  base: string,
  shape: Partial<QwenProjectorShape> & { type: QwenType },
  text: Partial<TextModelShape> = {},
): Promise<{ model: string; projector: string }> {
  const model = `${base}.gguf`;
  const projector = `${base}-mmproj.gguf`;
  await writeRandomTextModel(model, { ...tinyQwenText(shape.type), ...text });
  await writeQwenProjector(projector, shape);
  return { model, projector };
}

/** Writes a projector with random weights, with the keys and tensor names of published files. */
export async function writeQwenProjector(
  path: string,
  shape: Partial<QwenProjectorShape> & { type: QwenType },
): Promise<void> {
  const full = { ...TINY_QWEN, ...TINY_QWENS[shape.type], ...shape };
  await writeGguf(path, { metadata: keys(full), tensors: tensors(full) });
}

function keys(shape: QwenProjectorShape): Record<string, MetadataValue> {
  const { type, windowSize, minPixels, maxPixels } = shape;
  const isThird = type === "qwen3vl_merger";
  return {
    "general.architecture": string("clip"),
    "general.type": string("mmproj"),
    "general.file_type": uint32(0),
    "clip.has_vision_encoder": bool(true),
    "clip.projector_type": string(type),
    ...(type === "qwen2.5vl_merger"
      ? {
          "clip.use_silu": bool(true),
          "clip.vision.n_wa_pattern": uint32(shape.wholePattern),
          ...(windowSize === undefined ? {} : { "clip.vision.window_size": uint32(windowSize) }),
        }
      : {}),
    ...(isThird
      ? {
          "clip.use_gelu": bool(true),
          "clip.vision.spatial_merge_size": uint32(2),
          "clip.vision.is_deepstack_layers": {
            type: "array",
            items: "bool",
            value: Uint8Array.from({ length: shape.blocks }, (_, block) =>
              Number(shape.deepstack.includes(block)),
            ),
          },
        }
      : {}),
    "clip.vision.image_size": uint32(isThird ? shape.positionsPerSide * shape.patchSize : 64),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.legacy ? 0 : shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-6),
    "clip.vision.image_mean": float32s(isThird ? [0.5, 0.5, 0.5] : [0.48145466, 0.4578275, 0.40821073]),
    "clip.vision.image_std": float32s(isThird ? [0.5, 0.5, 0.5] : [0.26862954, 0.26130258, 0.27577711]),
    ...(minPixels === undefined ? {} : { "clip.vision.image_min_pixels": uint32(minPixels) }),
    ...(maxPixels === undefined ? {} : { "clip.vision.image_max_pixels": uint32(maxPixels) }),
  };
}

function tensors(shape: QwenProjectorShape): TensorSource[] {
  const { type, embedding, feedForward, textEmbedding, patchSize } = shape;
  const joined = 4 * embedding;
  let { seed } = shape;
  const tensor = (name: string, lengths: readonly number[], deviation: number, mean = 0): TensorSource =>
    randomTensor({ name, type: "f32", shape: lengths, deviation, mean, seed: seed++ });
  const linear = (name: string, inputs: number, outputs: number): TensorSource[] => [
    randomTensor({
      name: `${name}.weight`,
      type: shape.matrices,
      shape: [inputs, outputs],
      deviation: 1 / Math.sqrt(inputs),
      seed: seed++,
    }),
    tensor(`${name}.bias`, [outputs], 0.1),
  ];
  const norm = (name: string, width = embedding): TensorSource[] => [
    tensor(`${name}.weight`, [width], 0.1, 1),
    ...(type === "qwen2.5vl_merger" ? [] : [tensor(`${name}.bias`, [width], 0.1)]),
  ];
  const [up, down] = shape.legacy ? ["ffn_down", "ffn_up"] : ["ffn_up", "ffn_down"];
  const block = (prefix: string): TensorSource[] => [
    ...norm(`${prefix}.ln1`),
    ...(type === "qwen3vl_merger"
      ? linear(`${prefix}.attn_qkv`, embedding, 3 * embedding)
      : ["q", "k", "v"].flatMap((letter) => linear(`${prefix}.attn_${letter}`, embedding, embedding))),
    ...linear(`${prefix}.attn_out`, embedding, embedding),
    ...norm(`${prefix}.ln2`),
    ...(type === "qwen2.5vl_merger" ? linear(`${prefix}.ffn_gate`, embedding, feedForward) : []),
    ...linear(`${prefix}.${up}`, embedding, feedForward),
    ...linear(`${prefix}.${down}`, feedForward, embedding),
  ];
  const kernel = [patchSize, patchSize, 3, embedding];
  const third =
    type === "qwen3vl_merger"
      ? [
          tensor("v.patch_embd.bias", [embedding], 0.1),
          tensor("v.position_embd.weight", [embedding, shape.positionsPerSide ** 2], 0.5),
          ...shape.deepstack.flatMap((index) => [
            ...norm(`v.deepstack.${index}.norm`, joined),
            ...linear(`v.deepstack.${index}.fc1`, joined, joined),
            ...linear(`v.deepstack.${index}.fc2`, joined, textEmbedding),
          ]),
        ]
      : [];
  return [
    tensor("v.patch_embd.weight", kernel, 0.7 / Math.sqrt(3 * patchSize ** 2)),
    tensor("v.patch_embd.weight.1", kernel, 0.7 / Math.sqrt(3 * patchSize ** 2)),
    ...Array.from({ length: shape.blocks }, (_, index) => block(`v.blk.${index}`)).flat(),
    ...norm("v.post_ln"),
    ...linear("mm.0", joined, joined),
    ...linear("mm.2", joined, textEmbedding),
    ...third,
  ];
}
