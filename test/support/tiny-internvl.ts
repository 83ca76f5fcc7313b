import { randomTensor } from "../../bench/random.ts";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type MetadataValue, bool, float32, float32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Shape of a random InternVL projector. */
export interface InternVlShape {
  /** Side of a tile, in pixels. */
  imageSize: number;
  patchSize: number;
  embedding: number;
  feedForward: number;
  blocks: number;
  heads: number;
  textEmbedding: number;
  /** Root mean square norms, also of queries and keys, and no biases before attention: the encoder of 6 billion weights. */
  large: boolean;
  /** Default: not written, which means 1 and 12. */
  minTiles?: number;
  maxTiles?: number;
  /**
   * The position of the class token behind those of the patches. llama.cpp puts the class token there and leaves the
   * positions as they are, so that only with this it computes what the model's own code computes without it.
   */
  classPositionLast: boolean;
  seed: number;
}

export const TINY_INTERNVL: InternVlShape = {
  imageSize: 32,
  patchSize: 8,
  embedding: 32,
  feedForward: 96,
  blocks: 3,
  heads: 2,
  textEmbedding: 64,
  large: false,
  classPositionLast: false,
  seed: 1,
};

/** Writes a projector and a text model that knows its tokens; returns what `load` takes. */
export async function writeTinyInternVl(
  base: string,
  shape: Partial<InternVlShape> = {},
  text: Partial<TextModelShape> = {},
): Promise<{ model: string; projector: string }> {
  const model = `${base}.gguf`;
  const projector = `${base}-mmproj.gguf`;
  await writeRandomTextModel(model, { controlTokens: ["<img>", "</img>", "<IMG_CONTEXT>"], ...text });
  await writeInternVlProjector(projector, shape);
  return { model, projector };
}

/** Writes a projector with random weights, with the keys and tensor names of published files. */
export async function writeInternVlProjector(
  path: string,
  shape: Partial<InternVlShape> = {},
): Promise<void> {
  const full = { ...TINY_INTERNVL, ...shape };
  await writeGguf(path, { metadata: keys(full), tensors: tensors(full) });
}

function keys(shape: InternVlShape): Record<string, MetadataValue> {
  const { minTiles, maxTiles } = shape;
  return {
    "general.architecture": string("clip"),
    "general.type": string("mmproj"),
    "general.file_type": uint32(0),
    "clip.has_vision_encoder": bool(true),
    "clip.projector_type": string("internvl"),
    "clip.use_gelu": bool(true),
    "clip.vision.image_size": uint32(shape.imageSize),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-6),
    "clip.vision.projector.scale_factor": uint32(2),
    "clip.vision.image_mean": float32s([0.485, 0.456, 0.406]),
    "clip.vision.image_std": float32s([0.229, 0.224, 0.225]),
    ...(minTiles === undefined ? {} : { "clip.vision.preproc_min_tiles": uint32(minTiles) }),
    ...(maxTiles === undefined ? {} : { "clip.vision.preproc_max_tiles": uint32(maxTiles) }),
  };
}

function tensors(shape: InternVlShape): TensorSource[] {
  const { imageSize, embedding, feedForward, textEmbedding, patchSize, large } = shape;
  const joined = 4 * embedding;
  let { seed } = shape;
  const tensor = (name: string, lengths: readonly number[], deviation: number, mean = 0): TensorSource =>
    randomTensor({ name, type: "f32", shape: lengths, deviation, mean, seed: seed++ });
  const matrix = (name: string, inputs: number, outputs: number): TensorSource =>
    tensor(`${name}.weight`, [inputs, outputs], 1.5 / Math.sqrt(inputs));
  const linear = (name: string, inputs: number, outputs: number): TensorSource[] => [
    matrix(name, inputs, outputs),
    tensor(`${name}.bias`, [outputs], 0.1),
  ];
  const rmsNorm = (name: string): TensorSource => tensor(`${name}.weight`, [embedding], 0.1, 1);
  const norm = (name: string): TensorSource[] => [
    rmsNorm(name),
    ...(large ? [] : [tensor(`${name}.bias`, [embedding], 0.1)]),
  ];
  const heads = (name: string): TensorSource[] =>
    large ? [matrix(name, embedding, embedding)] : linear(name, embedding, embedding);
  return [
    tensor("v.class_embd", [embedding], 0.5),
    tensor("v.patch_embd.weight", [patchSize, patchSize, 3, embedding], 1 / Math.sqrt(3 * patchSize ** 2)),
    tensor("v.patch_embd.bias", [embedding], 0.1),
    positions(
      shape,
      tensor("v.position_embd.weight", [embedding, Math.floor(imageSize / patchSize) ** 2 + 1], 0.5),
    ),
    ...Array.from({ length: shape.blocks }, (_, index) => `v.blk.${index}`).flatMap((block) => [
      ...norm(`${block}.ln1`),
      ...["q", "k", "v"].flatMap((name) => heads(`${block}.attn_${name}`)),
      ...(large ? [rmsNorm(`${block}.attn_q_norm`), rmsNorm(`${block}.attn_k_norm`)] : []),
      ...linear(`${block}.attn_out`, embedding, embedding),
      tensor(`${block}.ls1.weight`, [embedding], 0.3, 0.6),
      ...norm(`${block}.ln2`),
      ...linear(`${block}.ffn_up`, embedding, feedForward),
      ...linear(`${block}.ffn_down`, feedForward, embedding),
      tensor(`${block}.ls2.weight`, [embedding], 0.3, 0.6),
    ]),
    tensor("mm.model.mlp.0.weight", [joined], 0.1, 1),
    tensor("mm.model.mlp.0.bias", [joined], 0.1),
    ...linear("mm.model.mlp.1", joined, textEmbedding),
    ...linear("mm.model.mlp.3", textEmbedding, textEmbedding),
  ];
}

function positions({ classPositionLast, embedding }: InternVlShape, source: TensorSource): TensorSource {
  if (!classPositionLast) return source;
  return {
    ...source,
    data: () => {
      const parts = typeof source.data === "function" ? source.data() : [source.data];
      const bytes = Buffer.concat([...(parts as Iterable<Uint8Array>)]);
      const row = embedding * Float32Array.BYTES_PER_ELEMENT;
      return [Buffer.concat([bytes.subarray(row), bytes.subarray(0, row)])];
    },
  };
}
