import { randomTensor } from "../../bench/random.ts";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type MetadataValue, bool, float32, float32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Shape of a random Kimi-VL projector. */
export interface KimiVlShape {
  patchSize: number;
  embedding: number;
  feedForward: number;
  blocks: number;
  heads: number;
  textEmbedding: number;
  /** Patches a side of the learned positions. */
  positionsPerSide: number;
  /** Default: not written, which means 4096 patches. */
  maxPixels?: number;
  /**
   * Queries and keys have the columns that turn by a patch's column first, as llama.cpp takes them, and not in turns
   * with those that turn by its row, as the model's own code, and therefore every published file, has them.
   */
  splitRope: boolean;
  seed: number;
}

export const TINY_KIMIVL: KimiVlShape = {
  patchSize: 8,
  embedding: 32,
  feedForward: 96,
  blocks: 3,
  heads: 2,
  textEmbedding: 64,
  positionsPerSide: 8,
  splitRope: false,
  seed: 1,
};

const CONTROL_TOKENS = ["<|media_start|>", "<|media_content|>", "<|media_pad|>", "<|media_end|>"];

/** Writes a projector and a text model that knows its tokens; returns what `load` takes. */
export async function writeTinyKimiVl(
  base: string,
  shape: Partial<KimiVlShape> = {},
  text: Partial<TextModelShape> = {},
): Promise<{ model: string; projector: string }> {
  const model = `${base}.gguf`;
  const projector = `${base}-mmproj.gguf`;
  await writeRandomTextModel(model, { controlTokens: CONTROL_TOKENS, ...text });
  await writeKimiVlProjector(projector, shape);
  return { model, projector };
}

/** Writes a projector with random weights, with the keys and tensor names of published files. */
export async function writeKimiVlProjector(path: string, shape: Partial<KimiVlShape> = {}): Promise<void> {
  const full = { ...TINY_KIMIVL, ...shape };
  await writeGguf(path, { metadata: keys(full), tensors: tensors(full) });
}

function keys(shape: KimiVlShape): Record<string, MetadataValue> {
  return {
    "general.architecture": string("clip"),
    "general.type": string("mmproj"),
    "general.file_type": uint32(0),
    "clip.has_vision_encoder": bool(true),
    "clip.projector_type": string("kimivl"),
    "clip.use_gelu": bool(true),
    "clip.vision.image_size": uint32(shape.positionsPerSide * shape.patchSize),
    "clip.vision.patch_size": uint32(shape.patchSize),
    "clip.vision.embedding_length": uint32(shape.embedding),
    "clip.vision.feed_forward_length": uint32(shape.feedForward),
    "clip.vision.block_count": uint32(shape.blocks),
    "clip.vision.projection_dim": uint32(shape.textEmbedding),
    "clip.vision.attention.head_count": uint32(shape.heads),
    "clip.vision.attention.layer_norm_epsilon": float32(1e-5),
    "clip.vision.projector.scale_factor": uint32(2),
    "clip.vision.image_mean": float32s([0.48145466, 0.4578275, 0.40821073]),
    "clip.vision.image_std": float32s([0.26862954, 0.26130258, 0.27577711]),
    ...(shape.maxPixels === undefined ? {} : { "clip.vision.image_max_pixels": uint32(shape.maxPixels) }),
  };
}

function tensors(shape: KimiVlShape): TensorSource[] {
  const { embedding, feedForward, textEmbedding, patchSize, positionsPerSide } = shape;
  const joined = 4 * embedding;
  let { seed } = shape;
  const tensor = (name: string, lengths: readonly number[], deviation: number, mean = 0): TensorSource =>
    randomTensor({ name, type: "f32", shape: lengths, deviation, mean, seed: seed++ });
  const linear = (name: string, inputs: number, outputs: number): TensorSource[] => [
    tensor(`${name}.weight`, [inputs, outputs], 1.5 / Math.sqrt(inputs)),
    tensor(`${name}.bias`, [outputs], 0.1),
  ];
  const norm = (name: string): TensorSource[] => [
    tensor(`${name}.weight`, [embedding], 0.1, 1),
    tensor(`${name}.bias`, [embedding], 0.1),
  ];
  const turned = (name: string): TensorSource[] =>
    linear(name, embedding, embedding).map((source) => (shape.splitRope ? splitRows(shape, source) : source));
  return [
    tensor("v.patch_embd.weight", [patchSize, patchSize, 3, embedding], 1 / Math.sqrt(3 * patchSize ** 2)),
    tensor("v.patch_embd.bias", [embedding], 0.1),
    tensor("v.position_embd.weight", [embedding, positionsPerSide ** 2], 0.5),
    ...Array.from({ length: shape.blocks }, (_, index) => `v.blk.${index}`).flatMap((block) => [
      ...norm(`${block}.ln1`),
      ...turned(`${block}.attn_q`),
      ...turned(`${block}.attn_k`),
      ...linear(`${block}.attn_v`, embedding, embedding),
      ...linear(`${block}.attn_out`, embedding, embedding),
      ...norm(`${block}.ln2`),
      ...linear(`${block}.ffn_up`, embedding, feedForward),
      ...linear(`${block}.ffn_down`, feedForward, embedding),
    ]),
    ...norm("v.post_ln"),
    ...norm("mm.input_norm"),
    ...linear("mm.1", joined, joined),
    ...linear("mm.2", joined, textEmbedding),
  ];
}

/** The outputs of a linear layer, or its biases: pairs 0, 2, 4… of every head, then pairs 1, 3, 5…. */
function splitRows({ embedding, heads }: KimiVlShape, source: TensorSource): TensorSource {
  const width = embedding / heads;
  const order = Array.from({ length: embedding }, (_, output) => {
    const inHead = output % width;
    const pair = Math.floor(inHead / 2);
    const from = pair < width / 4 ? 2 * pair : 2 * (pair - width / 4) + 1;
    return output - inHead + 2 * from + (inHead % 2);
  });
  return {
    ...source,
    data: () => {
      const parts = typeof source.data === "function" ? source.data() : [source.data];
      const bytes = Buffer.concat([...(parts as Iterable<Uint8Array>)]);
      const row = bytes.length / embedding;
      return [Buffer.concat(order.map((from) => bytes.subarray(from * row, (from + 1) * row)))];
    },
  };
}
