import { type MetadataValue, bool, float32, float32s, int32s, string, uint32 } from "../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../src/gguf/write.ts";
import { MullError } from "../src/spec/errors.ts";
import { randomTensor } from "./random.ts";

/** Shape of a CLIP vision transformer with a LLaVA projector behind it: an "mmproj" file. */
export interface ProjectorShape {
  /** Side of the picture in pixels, a multiple of `patchSize`. */
  imageSize: number;
  patchSize: number;
  /** Width of a row inside the vision transformer. */
  embedding: number;
  /** Not equal to `embedding`: then nobody could tell swapped names from straight ones. */
  feedForward: number;
  blocks: number;
  heads: number;
  /** Width of a row of the text model: what the projector gives. */
  textEmbedding: number;
  classToken: boolean;
  preNorm: boolean;
  postNorm: boolean;
  activation: "quick_gelu" | "gelu";
  /**
   * `mlp`: linear, gelu, linear (`mm.0`, `mm.2`). `mlp_norm`: Yi-VL's, with a norm behind each. `linear`: one layer
   * (`mm.0`). `ldp` and `ldpv2`: MobileVLM's.
   */
  projector: "mlp" | "mlp_norm" | "linear" | "ldp" | "ldpv2";
  /** LLaVA 1.6: width, height, width, height… */
  pinpoints?: readonly number[];
  /** LLaVA 1.6: `clip.vision.mm_patch_merge_type`. */
  mergeType?: string;
  /** `clip.vision.image_aspect_ratio` */
  aspectRatio?: string;
  /** LLaVA 1.6: name of the tensor that ends a line of rows. */
  newline?: "model.image_newline" | "v.image_newline";
  /** True writes `clip.has_llava_projector` and no `clip.projector_type`, as files from 2023 do. */
  legacy: boolean;
  /** True exchanges the names `ffn_up` and `ffn_down`, as LLaVA's own converter does. */
  swappedFeedForward: boolean;
  /** Written as `clip.vision.feature_layer` if there: the number of blocks whose output is used. */
  featureLayer?: number;
  /** Type of the matrices; biases, norms and embeddings are always f32. */
  type: "f32" | "f16";
  seed: number;
}

/** 16 rows for a picture of 32 x 32 pixels, for a text model of width 64. */
export const TINY_PROJECTOR: ProjectorShape = {
  imageSize: 32,
  patchSize: 8,
  embedding: 32,
  feedForward: 96,
  blocks: 2,
  heads: 4,
  textEmbedding: 64,
  classToken: false,
  preNorm: true,
  postNorm: false,
  activation: "quick_gelu",
  projector: "mlp",
  legacy: false,
  swappedFeedForward: false,
  type: "f32",
  seed: 1,
};

/** CLIP ViT-L/14-336 without its last block, and LLaVA 1.5's projector: 0.6 GB. */
export const BAKLLAVA_PROJECTOR: ProjectorShape = {
  ...TINY_PROJECTOR,
  imageSize: 336,
  patchSize: 14,
  embedding: 1024,
  feedForward: 4096,
  blocks: 23,
  heads: 16,
  textEmbedding: 4096,
  classToken: true,
  // As today's converters write it: without the key llama.cpp leaves a block out, and a comparison would be unfair.
  featureLayer: 23,
  type: "f16",
};

/** Writes a vision encoder and projector with random weights. The same shape gives the same bytes. */
export async function writeRandomProjector(path: string, shape: Partial<ProjectorShape> = {}): Promise<void> {
  const full = { ...TINY_PROJECTOR, ...shape };
  if (full.imageSize % full.patchSize !== 0 || full.embedding % full.heads !== 0) {
    throw new MullError(
      "invalid_argument",
      "patchSize must divide imageSize, and heads must divide embedding",
    );
  }
  if (full.feedForward === full.embedding) {
    throw new MullError("invalid_argument", "feedForward and embedding must differ");
  }
  await writeGguf(path, { metadata: projectorKeys(full), tensors: weights(full) });
}

function projectorKeys(shape: ProjectorShape): Record<string, MetadataValue> {
  const { legacy, projector, featureLayer, pinpoints, mergeType, aspectRatio } = shape;
  return {
    "general.architecture": string("clip"),
    "general.name": string("random weights"),
    "general.file_type": uint32(shape.type === "f16" ? 1 : 0),
    "clip.has_vision_encoder": bool(true),
    ...(legacy
      ? { "clip.has_text_encoder": bool(false), "clip.has_llava_projector": bool(true) }
      : {
          "general.type": string("mmproj"),
          "clip.projector_type": string(projector === "mlp_norm" ? "mlp" : projector),
        }),
    "clip.use_gelu": bool(shape.activation === "gelu"),
    "clip.vision.image_size": uint32(shape.imageSize),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-5),
    // CLIP's own statistics of natural pictures.
    "clip.vision.image_mean": float32s([0.48145466, 0.4578275, 0.40821073]),
    "clip.vision.image_std": float32s([0.26862954, 0.26130258, 0.27577711]),
    ...(featureLayer === undefined ? {} : { "clip.vision.feature_layer": int32s([featureLayer]) }),
    ...(pinpoints === undefined ? {} : { "clip.vision.image_grid_pinpoints": int32s([...pinpoints]) }),
    ...(mergeType === undefined ? {} : { "clip.vision.mm_patch_merge_type": string(mergeType) }),
    ...(aspectRatio === undefined ? {} : { "clip.vision.image_aspect_ratio": string(aspectRatio) }),
  };
}

function weights(shape: ProjectorShape): TensorSource[] {
  const { embedding, feedForward, textEmbedding, patchSize, type } = shape;
  let { seed } = shape;
  const tensor = (
    name: string,
    length: readonly number[],
    deviation: number,
    options: { mean?: number; type?: "f32" | "f16" } = {},
  ): TensorSource => randomTensor({ name, type: "f32", shape: length, deviation, seed: seed++, ...options });
  const linear = (name: string, inputs: number, outputs: number): TensorSource[] => [
    tensor(`${name}.weight`, [inputs, outputs], 1 / Math.sqrt(inputs), { type }),
    tensor(`${name}.bias`, [outputs], 0.1),
  ];
  const norm = (name: string, width = embedding): TensorSource[] => [
    tensor(`${name}.weight`, [width], 0.1, { mean: 1 }),
    tensor(`${name}.bias`, [width], 0.1),
  ];
  const block = (prefix: string): TensorSource[] => [
    ...norm(`${prefix}.ln1`),
    ...linear(`${prefix}.attn_q`, embedding, embedding),
    ...linear(`${prefix}.attn_k`, embedding, embedding),
    ...linear(`${prefix}.attn_v`, embedding, embedding),
    ...linear(`${prefix}.attn_out`, embedding, embedding),
    ...norm(`${prefix}.ln2`),
    ...linear(`${prefix}.${shape.swappedFeedForward ? "ffn_down" : "ffn_up"}`, embedding, feedForward),
    ...linear(`${prefix}.${shape.swappedFeedForward ? "ffn_up" : "ffn_down"}`, feedForward, embedding),
  ];
  const positions = (shape.imageSize / patchSize) ** 2 + (shape.classToken ? 1 : 0);
  const patchInputs = patchSize * patchSize * 3;
  return [
    ...(shape.classToken ? [tensor("v.class_embd", [embedding], 1)] : []),
    tensor("v.patch_embd.weight", [patchSize, patchSize, 3, embedding], 1 / Math.sqrt(patchInputs), { type }),
    tensor("v.position_embd.weight", [embedding, positions], 0.5),
    ...(shape.preNorm ? norm("v.pre_ln") : []),
    ...Array.from({ length: shape.blocks }, (_, index) => block(`v.blk.${index}`)).flat(),
    ...(shape.postNorm ? norm("v.post_ln") : []),
    ...projectorWeights(shape, { tensor, linear, norm }),
    ...(shape.newline === undefined ? [] : [tensor(shape.newline, [textEmbedding], 1)]),
  ];
}

interface Makers {
  tensor: (
    name: string,
    length: readonly number[],
    deviation: number,
    options?: { type?: "f32" | "f16" },
  ) => TensorSource;
  linear: (name: string, inputs: number, outputs: number) => TensorSource[];
  norm: (name: string, width: number) => TensorSource[];
}

function projectorWeights(
  { projector, embedding, textEmbedding: width }: ProjectorShape,
  { tensor, linear, norm }: Makers,
): TensorSource[] {
  // llama.cpp convolves channel by channel with f16 kernels only.
  const kernel = (name: string): TensorSource => tensor(name, [3, 3, 1, width], 1 / 3, { type: "f16" });
  const residual = (block: string): TensorSource[] => [
    kernel(`${block}.0.0.weight`),
    ...norm(`${block}.0.1`, width),
    ...linear(`${block}.1.fc1`, width, width / 4),
    ...linear(`${block}.1.fc2`, width / 4, width),
    ...linear(`${block}.2.0`, width, width).slice(0, 1),
    ...norm(`${block}.2.1`, width),
  ];
  switch (projector) {
    case "linear":
      return linear("mm.0", embedding, width);
    case "mlp":
      return [...linear("mm.0", embedding, width), ...linear("mm.2", width, width)];
    case "mlp_norm":
      return [
        ...linear("mm.0", embedding, width),
        ...norm("mm.1", width),
        ...linear("mm.3", width, width),
        ...norm("mm.4", width),
      ];
    case "ldp":
      return [
        ...linear("mm.model.mlp.1", embedding, width),
        ...linear("mm.model.mlp.3", width, width),
        ...[1, 2].flatMap((block) => residual(`mm.model.mb_block.${block}.block`)),
      ];
    default:
      return [
        ...linear("mm.model.mlp.0", embedding, width),
        ...linear("mm.model.mlp.2", width, width),
        kernel("mm.model.peg.0.weight"),
        tensor("mm.model.peg.0.bias", [width], 0.1),
      ];
  }
}
