import { randomTensor } from "../../bench/random.ts";
import { TINY_TEXT_MODEL, type TextModelShape, tokenizerKeys } from "../../bench/random-model.ts";
import { type MetadataValue, float32, int32s, string, uint32 } from "../../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../../src/gguf/write.ts";

/** Positions that a short convolution sees. */
const CONVOLUTION_LENGTH = 3;

export const TINY_LFM2: TextModelShape = {
  ...TINY_TEXT_MODEL,
  blocks: 3,
  contextLength: 4096,
  controlTokens: [
    "<|im_start|>",
    "<|im_end|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|img_thumbnail|>",
    ...[1, 2].flatMap((row) => [1, 2].map((column) => `<|img_row_${row}_col_${column}|>`)),
  ],
};

/** Writes a text model of LFM2's architecture with random weights: two blocks of convolution around one of attention. */
export async function writeTinyLfm2(path: string, shape: Partial<TextModelShape> = {}): Promise<void> {
  const full = { ...TINY_LFM2, ...shape };
  await writeGguf(path, {
    metadata: { ...architectureKeys(full), ...tokenizerKeys(full) },
    tensors: weights(full),
  });
}

function isAttention(block: number): boolean {
  return block === 1;
}

function architectureKeys(shape: TextModelShape): Record<string, MetadataValue> {
  const heads = Array.from({ length: shape.blocks }, (_, block) =>
    isAttention(block) ? shape.keyValueHeads : 0,
  );
  return {
    "general.architecture": string("lfm2"),
    "general.name": string("random weights"),
    "general.file_type": uint32(0),
    "lfm2.context_length": uint32(shape.contextLength),
    "lfm2.embedding_length": uint32(shape.embedding),
    "lfm2.block_count": uint32(shape.blocks),
    "lfm2.feed_forward_length": uint32(shape.feedForward),
    "lfm2.vocab_size": uint32(shape.vocabulary),
    "lfm2.attention.head_count": uint32(shape.heads),
    "lfm2.attention.head_count_kv": int32s(heads),
    "lfm2.attention.layer_norm_rms_epsilon": float32(1e-5),
    "lfm2.rope.freq_base": float32(1_000_000),
    "lfm2.shortconv.l_cache": uint32(CONVOLUTION_LENGTH),
  };
}

function weights({ embedding, feedForward, vocabulary, ...shape }: TextModelShape): TensorSource[] {
  let { seed } = shape;
  const headLength = embedding / shape.heads;
  const matrix = (name: string, inputs: number, outputs: number, deviation = 1 / Math.sqrt(inputs)) =>
    randomTensor({ name, type: "f32", shape: [inputs, outputs], deviation, seed: seed++ });
  const norm = (name: string, width = embedding) =>
    randomTensor({ name, type: "f32", shape: [width], mean: 1, deviation: 0.1, seed: seed++ });
  const mixer = (block: string, attention: boolean): TensorSource[] =>
    attention
      ? [
          matrix(`${block}.attn_q.weight`, embedding, embedding),
          matrix(`${block}.attn_k.weight`, embedding, headLength * shape.keyValueHeads),
          matrix(`${block}.attn_v.weight`, embedding, headLength * shape.keyValueHeads),
          norm(`${block}.attn_q_norm.weight`, headLength),
          norm(`${block}.attn_k_norm.weight`, headLength),
          matrix(`${block}.attn_output.weight`, embedding, embedding),
        ]
      : [
          matrix(`${block}.shortconv.conv.weight`, CONVOLUTION_LENGTH, embedding),
          matrix(`${block}.shortconv.in_proj.weight`, embedding, 3 * embedding),
          matrix(`${block}.shortconv.out_proj.weight`, embedding, embedding),
        ];
  return [
    matrix("token_embd.weight", embedding, vocabulary, 1 / Math.sqrt(embedding)),
    norm("token_embd_norm.weight"),
    ...Array.from({ length: shape.blocks }, (_, block) => [
      norm(`blk.${block}.attn_norm.weight`),
      ...mixer(`blk.${block}`, isAttention(block)),
      norm(`blk.${block}.ffn_norm.weight`),
      matrix(`blk.${block}.ffn_gate.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_up.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_down.weight`, feedForward, embedding),
    ]).flat(),
  ];
}
