import { randomTensor } from "../../bench/random.ts";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type MetadataValue, bool, float32, float32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Shape of a random Pixtral projector. */
export interface PixtralShape {
  /** Longest edge, in pixels. */
  imageSize: number;
  patchSize: number;
  /** 1: Pixtral 12B. 2: Mistral Small 3.1, which merges patches and has no biases in the projector. */
  merge: number;
  embedding: number;
  feedForward: number;
  blocks: number;
  heads: number;
  textEmbedding: number;
  activation: "silu" | "gelu";
  /** 10,000 is not written. */
  ropeBase: number;
  seed: number;
}

export const TINY_PIXTRAL: PixtralShape = {
  imageSize: 128,
  patchSize: 8,
  merge: 1,
  embedding: 32,
  feedForward: 96,
  blocks: 3,
  heads: 2,
  textEmbedding: 64,
  activation: "silu",
  ropeBase: 10_000,
  seed: 1,
};

export const TINY_MISTRAL3: PixtralShape = { ...TINY_PIXTRAL, merge: 2 };

/** Writes a projector and a text model that knows its tokens; returns what `load` takes. */
export async function writeTinyPixtral(
  base: string,
  shape: Partial<PixtralShape> = {},
  text: Partial<TextModelShape> = {},
): Promise<{ model: string; projector: string }> {
  const model = `${base}.gguf`;
  const projector = `${base}-mmproj.gguf`;
  await writeRandomTextModel(model, { controlTokens: ["[IMG]", "[IMG_BREAK]", "[IMG_END]"], ...text });
  await writePixtralProjector(projector, shape);
  return { model, projector };
}

/** Writes a projector with random weights, with the keys and tensor names of published files. */
export async function writePixtralProjector(path: string, shape: Partial<PixtralShape> = {}): Promise<void> {
  const full = { ...TINY_PIXTRAL, ...shape };
  await writeGguf(path, { metadata: keys(full), tensors: tensors(full) });
}

function keys(shape: PixtralShape): Record<string, MetadataValue> {
  return {
    "general.architecture": string("clip"),
    "general.type": string("mmproj"),
    "general.file_type": uint32(0),
    "clip.has_vision_encoder": bool(true),
    "clip.projector_type": string("pixtral"),
    [`clip.use_${shape.activation}`]: bool(true),
    "clip.vision.image_size": uint32(shape.imageSize),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-5),
    "clip.vision.image_mean": float32s([0.48145466, 0.4578275, 0.40821073]),
    "clip.vision.image_std": float32s([0.26862954, 0.26130258, 0.27577711]),
    ...(shape.merge === 1 ? {} : { "clip.vision.spatial_merge_size": uint32(shape.merge) }),
    ...(shape.ropeBase === 10_000 ? {} : { "clip.rope.freq_base": float32(shape.ropeBase) }),
  };
}

function tensors(shape: PixtralShape): TensorSource[] {
  const { embedding, feedForward, textEmbedding, patchSize, merge } = shape;
  let { seed } = shape;
  const tensor = (name: string, lengths: readonly number[], deviation: number, mean = 0): TensorSource =>
    randomTensor({ name, type: "f32", shape: lengths, deviation, mean, seed: seed++ });
  const matrix = (name: string, inputs: number, outputs: number): TensorSource =>
    tensor(`${name}.weight`, [inputs, outputs], 1.5 / Math.sqrt(inputs));
  const norm = (name: string): TensorSource => tensor(`${name}.weight`, [embedding], 0.1, 1);
  return [
    tensor("v.patch_embd.weight", [patchSize, patchSize, 3, embedding], 1 / Math.sqrt(3 * patchSize ** 2)),
    norm("v.pre_ln"),
    ...Array.from({ length: shape.blocks }, (_, index) => `v.blk.${index}`).flatMap((block) => [
      norm(`${block}.ln1`),
      ...["q", "k", "v", "out"].map((name) => matrix(`${block}.attn_${name}`, embedding, embedding)),
      norm(`${block}.ln2`),
      matrix(`${block}.ffn_gate`, embedding, feedForward),
      matrix(`${block}.ffn_up`, embedding, feedForward),
      matrix(`${block}.ffn_down`, feedForward, embedding),
    ]),
    ...(merge === 1
      ? []
      : [norm("mm.input_norm"), matrix("mm.patch_merger", merge ** 2 * embedding, embedding)]),
    matrix("mm.1", embedding, textEmbedding),
    ...(merge === 1 ? [tensor("mm.1.bias", [textEmbedding], 0.1)] : []),
    matrix("mm.2", textEmbedding, textEmbedding),
    ...(merge === 1 ? [tensor("mm.2.bias", [textEmbedding], 0.1)] : []),
    tensor("v.token_embd.img_break", [textEmbedding], 1),
  ];
}
