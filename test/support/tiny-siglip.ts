import { randomTensor } from "../../bench/random.ts";
import { type MetadataValue, bool, float32, float32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Shape of a SigLIP vision transformer and the projector behind it. */
export interface SiglipShape {
  projector: "gemma3" | "idefics3" | "lfm2";
  imageSize: number;
  patchSize: number;
  embedding: number;
  feedForward: number;
  blocks: number;
  heads: number;
  textEmbedding: number;
  /** Undefined: the file does not say it. */
  scaleFactor?: number;
  longestEdge?: number;
  type: "f32" | "f16";
  seed: number;
}

const TINY = {
  patchSize: 8,
  embedding: 32,
  feedForward: 96,
  // As many as the base model of CLIP has, of which LLaVA leaves one out.
  blocks: 12,
  heads: 4,
  textEmbedding: 64,
  type: "f32",
  seed: 1,
} as const;

/** 16 rows for a picture. */
export const TINY_GEMMA3_PROJECTOR: SiglipShape = { ...TINY, projector: "gemma3", imageSize: 128 };

/** 4 rows for a tile, and up to 17 tiles. */
export const TINY_IDEFICS3_PROJECTOR: SiglipShape = {
  ...TINY,
  projector: "idefics3",
  imageSize: 32,
  blocks: 2,
  scaleFactor: 2,
  longestEdge: 128,
};

/** Rows of 32 x 32 pixels; positions of 16 x 16 patches. */
export const TINY_LFM2_PROJECTOR: SiglipShape = {
  ...TINY,
  projector: "lfm2",
  imageSize: 256,
  patchSize: 16,
  blocks: 2,
  scaleFactor: 2,
};

/** Writes a vision encoder and projector with random weights; keys and names as llama.cpp's converter has them. */
export async function writeTinySiglip(path: string, shape: SiglipShape): Promise<void> {
  await writeGguf(path, { metadata: keys(shape), tensors: weights(shape) });
}

function keys(shape: SiglipShape): Record<string, MetadataValue> {
  const { scaleFactor, longestEdge } = shape;
  return {
    "general.architecture": string("clip"),
    "general.type": string("mmproj"),
    "general.name": string("random weights"),
    "general.file_type": uint32(shape.type === "f16" ? 1 : 0),
    "clip.has_vision_encoder": bool(true),
    "clip.projector_type": string(shape.projector),
    "clip.use_gelu": bool(true),
    "clip.vision.image_size": uint32(shape.imageSize),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-6),
    "clip.vision.image_mean": float32s([0.5, 0.5, 0.5]),
    "clip.vision.image_std": float32s([0.5, 0.5, 0.5]),
    ...(scaleFactor === undefined ? {} : { "clip.vision.projector.scale_factor": uint32(scaleFactor) }),
    ...(longestEdge === undefined ? {} : { "clip.vision.preproc_image_size": uint32(longestEdge) }),
  };
}

function weights(shape: SiglipShape): TensorSource[] {
  const { embedding, feedForward, textEmbedding, patchSize, type } = shape;
  let { seed } = shape;
  const tensor = (
    name: string,
    lengths: readonly number[],
    deviation: number,
    options: { mean?: number; type?: "f32" | "f16" } = {},
  ): TensorSource => randomTensor({ name, type: "f32", shape: lengths, deviation, seed: seed++, ...options });
  const linear = (name: string, inputs: number, outputs: number): TensorSource[] => [
    tensor(`${name}.weight`, [inputs, outputs], 1 / Math.sqrt(inputs), { type }),
    tensor(`${name}.bias`, [outputs], 0.1),
  ];
  const norm = (name: string): TensorSource[] => [
    tensor(`${name}.weight`, [embedding], 0.1, { mean: 1 }),
    tensor(`${name}.bias`, [embedding], 0.1),
  ];
  const patches = (shape.imageSize / patchSize) ** 2;
  const joined = embedding * (shape.scaleFactor ?? 1) ** 2;
  return [
    tensor("v.patch_embd.weight", [patchSize, patchSize, 3, embedding], 1 / Math.sqrt(patchSize ** 2 * 3)),
    tensor("v.patch_embd.bias", [embedding], 0.1),
    tensor("v.position_embd.weight", [embedding, patches], 0.5),
    ...Array.from({ length: shape.blocks }, (_, index) => `v.blk.${index}`).flatMap((block) => [
      ...norm(`${block}.ln1`),
      ...["attn_q", "attn_k", "attn_v", "attn_out"].flatMap((name) =>
        linear(`${block}.${name}`, embedding, embedding),
      ),
      ...norm(`${block}.ln2`),
      ...linear(`${block}.ffn_up`, embedding, feedForward),
      ...linear(`${block}.ffn_down`, feedForward, embedding),
    ]),
    ...norm("v.post_ln"),
    ...projector(),
  ];

  function projector(): TensorSource[] {
    if (shape.projector === "idefics3") {
      return [tensor("mm.model.fc.weight", [joined, textEmbedding], 1 / Math.sqrt(joined), { type })];
    }
    if (shape.projector === "lfm2") {
      return [
        tensor("mm.input_norm.weight", [joined], 0.1, { mean: 1 }),
        tensor("mm.input_norm.bias", [joined], 0.1),
        ...linear("mm.1", joined, 2 * textEmbedding),
        ...linear("mm.2", 2 * textEmbedding, textEmbedding),
      ];
    }
    return [
      tensor("mm.soft_emb_norm.weight", [embedding], 0.1, { mean: 1 }),
      // As Gemma's code has it: outputs first.
      tensor("mm.input_projection.weight", [textEmbedding, embedding], 1 / Math.sqrt(embedding), {
        type,
      }),
    ];
  }
}
