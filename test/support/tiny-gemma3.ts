import { randomTensor } from "../../bench/random.ts";
import { TINY_TEXT_MODEL, type TextModelShape, tokenizerKeys } from "../../bench/random-model.ts";
import { type MetadataValue, float32, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Five blocks whose attention reaches back a few positions, then one that sees everything, as of Gemma 3. */
const BLOCKS = 6;
const SLIDING_WINDOW = 48;
const HEAD_LENGTH = 32;

export const TINY_GEMMA3: TextModelShape = {
  ...TINY_TEXT_MODEL,
  blocks: BLOCKS,
  controlTokens: ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"],
};

/** Writes a text model of Gemma 3's architecture with random weights. */
export async function writeTinyGemma3(path: string, shape: Partial<TextModelShape> = {}): Promise<void> {
  const full = { ...TINY_GEMMA3, ...shape };
  await writeGguf(path, {
    metadata: { ...architectureKeys(full), ...tokenizerKeys(full) },
    tensors: weights(full),
  });
}

function architectureKeys(shape: TextModelShape): Record<string, MetadataValue> {
  return {
    "general.architecture": string("gemma3"),
    "general.name": string("random weights"),
    "general.file_type": uint32(0),
    "gemma3.context_length": uint32(shape.contextLength),
    "gemma3.embedding_length": uint32(shape.embedding),
    "gemma3.block_count": uint32(shape.blocks),
    "gemma3.feed_forward_length": uint32(shape.feedForward),
    "gemma3.attention.head_count": uint32(shape.heads),
    "gemma3.attention.head_count_kv": uint32(shape.keyValueHeads),
    "gemma3.attention.key_length": uint32(HEAD_LENGTH),
    "gemma3.attention.value_length": uint32(HEAD_LENGTH),
    "gemma3.attention.layer_norm_rms_epsilon": float32(1e-6),
    "gemma3.attention.sliding_window": uint32(SLIDING_WINDOW),
    "gemma3.rope.freq_base": float32(1_000_000),
  };
}

function weights({ embedding, feedForward, vocabulary, ...shape }: TextModelShape): TensorSource[] {
  let { seed } = shape;
  const matrix = (name: string, inputs: number, outputs: number, deviation = 1 / Math.sqrt(inputs)) =>
    randomTensor({ name, type: "f32", shape: [inputs, outputs], deviation, seed: seed++ });
  const norm = (name: string, width = embedding) =>
    randomTensor({ name, type: "f32", shape: [width], mean: 1, deviation: 0.1, seed: seed++ });
  return [
    // Tied to the output; the architecture multiplies embeddings by the root of their width.
    matrix("token_embd.weight", embedding, vocabulary, 1 / Math.sqrt(embedding)),
    ...Array.from({ length: shape.blocks }, (_, block) => [
      norm(`blk.${block}.attn_norm.weight`),
      matrix(`blk.${block}.attn_q.weight`, embedding, shape.heads * HEAD_LENGTH),
      matrix(`blk.${block}.attn_k.weight`, embedding, shape.keyValueHeads * HEAD_LENGTH),
      matrix(`blk.${block}.attn_v.weight`, embedding, shape.keyValueHeads * HEAD_LENGTH),
      norm(`blk.${block}.attn_q_norm.weight`, HEAD_LENGTH),
      norm(`blk.${block}.attn_k_norm.weight`, HEAD_LENGTH),
      matrix(`blk.${block}.attn_output.weight`, shape.heads * HEAD_LENGTH, embedding),
      norm(`blk.${block}.post_attention_norm.weight`),
      norm(`blk.${block}.ffn_norm.weight`),
      matrix(`blk.${block}.ffn_gate.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_up.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_down.weight`, feedForward, embedding),
      norm(`blk.${block}.post_ffw_norm.weight`),
    ]).flat(),
    norm("output_norm.weight"),
  ];
}
