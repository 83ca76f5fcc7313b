import {
  type MetadataValue,
  bool,
  float32,
  float32s,
  int32s,
  string,
  strings,
  uint32,
} from "../src/gguf/metadata.ts";
import { type TensorSource, writeGguf } from "../src/gguf/write.ts";
import type { PackedTypeName } from "../src/gguf/quantize.ts";
import { MullError } from "../src/spec/errors.ts";
import { randomTensor } from "./random.ts";

/** Shape of a text model: of Llama, Mistral, Vicuna… or of Qwen-VL. */
export interface TextModelShape {
  /** `qwen2vl` has biases on queries, keys and values; `qwen3vl` norms on queries and keys. */
  architecture: "llama" | "qwen2vl" | "qwen3vl";
  blocks: number;
  /** Width of a context row. */
  embedding: number;
  feedForward: number;
  heads: number;
  keyValueHeads: number;
  /** Number of tokens, at least 260. */
  vocabulary: number;
  contextLength: number;
  /** Type of the matrices; norms are always f32. */
  type: Exclude<PackedTypeName, "bf16">;
  seed: number;
  /** Pairs of a head that turn by time, row, column and nothing (M-RoPE): half a head together. */
  ropeSections?: readonly [number, number, number, number];
  /** Blocks to whose output further columns of a picture's rows are added (Qwen3-VL). */
  deepstackLayers?: number;
  /** Jinja source for `tokenizer.chat_template`. */
  chatTemplate?: string;
  /**
   * Special tokens beside BOS, EOS and unknown, such as `<start_of_image>`. Models that have them put no space in front
   * of a text.
   */
  controlTokens?: readonly string[];
  /** Makes it an embedding model: how the states of a text become one vector. */
  pooling?: keyof typeof POOLING;
}

/** A model of 140,000 weights that loads in milliseconds. */
export const TINY_TEXT_MODEL: TextModelShape = {
  architecture: "llama",
  blocks: 2,
  embedding: 64,
  feedForward: 128,
  heads: 4,
  keyValueHeads: 2,
  vocabulary: 512,
  contextLength: 512,
  type: "f32",
  seed: 1,
};

/** Mistral 7B, which BakLLaVA speaks with: 4.1 GB. */
export const BAKLLAVA_TEXT_MODEL: TextModelShape = {
  architecture: "llama",
  blocks: 32,
  embedding: 4096,
  feedForward: 14_336,
  heads: 32,
  keyValueHeads: 8,
  vocabulary: 32_000,
  contextLength: 4096,
  type: "q4_0",
  seed: 1,
};

const POOLING = { mean: 1, first: 2, last: 3, rank: 4 };

const FILE_TYPES = { f32: 0, f16: 1, q4_0: 2, q8_0: 7 };

/**
 * Writes a text model with random weights. It answers with nonsense, at the speed of a real model of its shape,
 * and always with the same nonsense.
 */
export async function writeRandomTextModel(path: string, shape: Partial<TextModelShape> = {}): Promise<void> {
  const full = { ...TINY_TEXT_MODEL, ...shape };
  const metadata = { ...architectureKeys(full), ...tokenizerKeys(full) };
  await writeGguf(path, { metadata, tensors: weights(full) });
}

function architectureKeys(shape: TextModelShape): Record<string, MetadataValue> {
  const { architecture, ropeSections, deepstackLayers, pooling } = shape;
  const keys: Record<string, MetadataValue> = {
    context_length: uint32(shape.contextLength),
    embedding_length: uint32(shape.embedding),
    block_count: uint32(shape.blocks),
    feed_forward_length: uint32(shape.feedForward),
    vocab_size: uint32(shape.vocabulary),
    "attention.head_count": uint32(shape.heads),
    "attention.head_count_kv": uint32(shape.keyValueHeads),
    "attention.layer_norm_rms_epsilon": float32(1e-5),
    "rope.dimension_count": uint32(shape.embedding / shape.heads),
    "rope.freq_base": float32(10_000),
    ...(ropeSections === undefined ? {} : { "rope.dimension_sections": int32s(ropeSections) }),
    ...(deepstackLayers === undefined ? {} : { n_deepstack_layers: uint32(deepstackLayers) }),
    ...(pooling === undefined ? {} : { pooling_type: uint32(POOLING[pooling]) }),
  };
  return {
    "general.architecture": string(architecture),
    "general.name": string("random weights"),
    "general.file_type": uint32(FILE_TYPES[shape.type]),
    ...Object.fromEntries(Object.entries(keys).map(([key, value]) => [`${architecture}.${key}`, value])),
  };
}

/** Found before text is cut into pieces, as Gemma's runs of newlines. One newline is a byte already. */
const NEWLINES = "\n\n";

/** A SentencePiece vocabulary that can spell anything: bytes, characters, pairs of letters, then fillers. */
export function tokenizerKeys(shape: TextModelShape): Record<string, MetadataValue> {
  if (shape.vocabulary < 260) {
    throw new MullError(
      "invalid_argument",
      `a vocabulary of ${shape.vocabulary} has no room for all bytes (260)`,
    );
  }
  const special = ["<unk>", "<s>", "</s>"];
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const characters = Array.from({ length: 94 }, (_, index) => String.fromCodePoint(33 + index));
  const letters = characters.filter((character) => /[a-z]/.test(character));
  // U+2581 stands for a space in SentencePiece.
  const starts = letters.map((letter) => `\u2581${letter}`);
  const pairs = letters.flatMap((first) => letters.map((second) => first + second));
  const pieces = ["\u2581", ...characters, ...starts, ...pairs];
  const { controlTokens } = shape;
  const added = controlTokens === undefined ? [] : [...controlTokens, NEWLINES];
  const normal = Array.from(
    { length: shape.vocabulary - special.length - bytes.length - added.length },
    (_, index) => pieces[index] ?? `\u2581filler${index}`,
  );
  return {
    "tokenizer.ggml.model": string("llama"),
    "tokenizer.ggml.tokens": strings([...special, ...bytes, ...added, ...normal]),
    "tokenizer.ggml.scores": float32s(Array.from({ length: shape.vocabulary }, (_, index) => -index)),
    // 2 unknown, 3 control, 4 user-defined, 6 byte, 1 normal
    "tokenizer.ggml.token_type": int32s([
      2,
      3,
      3,
      ...bytes.map(() => 6),
      ...added.map((text) => (text === NEWLINES ? 4 : 3)),
      ...normal.map(() => 1),
    ]),
    "tokenizer.ggml.unknown_token_id": uint32(0),
    "tokenizer.ggml.bos_token_id": uint32(1),
    "tokenizer.ggml.eos_token_id": uint32(2),
    "tokenizer.ggml.add_bos_token": bool(true),
    ...(controlTokens === undefined ? {} : { "tokenizer.ggml.add_space_prefix": bool(false) }),
    ...(shape.chatTemplate === undefined ? {} : { "tokenizer.chat_template": string(shape.chatTemplate) }),
  };
}

function weights(shape: TextModelShape): TensorSource[] {
  const { embedding, feedForward, vocabulary, type } = shape;
  const keyValueWidth = (embedding / shape.heads) * shape.keyValueHeads;
  let { seed } = shape;
  const matrix = (
    name: string,
    inputs: number,
    outputs: number,
    deviation = 1 / Math.sqrt(inputs),
  ): TensorSource => randomTensor({ name, type, shape: [inputs, outputs], deviation, seed: seed++ });
  const norm = (name: string, width = embedding): TensorSource =>
    randomTensor({ name, type: "f32", shape: [width], mean: 1, deviation: 0.1, seed: seed++ });
  const bias = (name: string, width: number): TensorSource =>
    randomTensor({ name, type: "f32", shape: [width], deviation: 0.1, seed: seed++ });
  const headWidth = embedding / shape.heads;
  const ofQwen = (block: number): TensorSource[] => {
    if (shape.architecture === "qwen2vl") {
      return [
        bias(`blk.${block}.attn_q.bias`, embedding),
        bias(`blk.${block}.attn_k.bias`, keyValueWidth),
        bias(`blk.${block}.attn_v.bias`, keyValueWidth),
      ];
    }
    if (shape.architecture === "llama") return [];
    return [
      norm(`blk.${block}.attn_q_norm.weight`, headWidth),
      norm(`blk.${block}.attn_k_norm.weight`, headWidth),
    ];
  };
  return [
    matrix("token_embd.weight", embedding, vocabulary, 1),
    ...Array.from({ length: shape.blocks }, (_, block) => [
      norm(`blk.${block}.attn_norm.weight`),
      matrix(`blk.${block}.attn_q.weight`, embedding, embedding),
      matrix(`blk.${block}.attn_k.weight`, embedding, keyValueWidth),
      matrix(`blk.${block}.attn_v.weight`, embedding, keyValueWidth),
      matrix(`blk.${block}.attn_output.weight`, embedding, embedding),
      norm(`blk.${block}.ffn_norm.weight`),
      matrix(`blk.${block}.ffn_gate.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_up.weight`, embedding, feedForward),
      matrix(`blk.${block}.ffn_down.weight`, feedForward, embedding),
      ...ofQwen(block),
    ]).flat(),
    norm("output_norm.weight"),
    matrix("output.weight", embedding, vocabulary),
  ];
}
