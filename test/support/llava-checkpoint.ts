import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RandomSource } from "../../bench/random.ts";
import { newModelFolder } from "./model-folders.ts";
import { type Encode, byteLevelEncoder, sentencePieceEncoder } from "./plain-tokenizers.ts";
import { PRE_TOKENIZER_CASES, patternsOf } from "./pre-tokenizer-cases.ts";
import type { ReferenceText, ReferenceVision } from "./reference-transformers.ts";
import { sentencePieceModel, trainByteLevel, trainSentencePiece } from "./tiny-vocabularies.ts";
import {
  type FloatDtype,
  type RawTensor,
  type Weights,
  encodeWeights,
  roundTo,
  writeCheckpoint,
} from "./write-safetensors.ts";

/** A folder of safetensors with random weights, as LLaVA's repository or transformers would have written it. */
export interface CheckpointShape {
  text: "llama" | "mistral" | "qwen2";
  /** `old-transformers`: before 4.52. */
  layout: "text-only" | "repository" | "old-transformers" | "transformers";
  version: "1.5" | "1.6";
  projector: "mlp" | "linear";
  /** Where the vision tower of the layout `repository` is. */
  tower: "inside" | "beside";
  activation: "quick_gelu" | "gelu";
  dtype: FloatDtype;
  tied: boolean;
  /** Llama with biases in attention. */
  biases: boolean;
  shards: number;
  ropeScaling: "none" | "linear" | "llama3";
  seed: number;
}

export const CHECKPOINT: CheckpointShape = {
  text: "llama",
  layout: "transformers",
  version: "1.5",
  projector: "mlp",
  tower: "inside",
  activation: "quick_gelu",
  dtype: "F32",
  tied: false,
  biases: false,
  shards: 1,
  ropeScaling: "none",
  seed: 1,
};

export const TEXT_SIZE = {
  blocks: 2,
  embedding: 64,
  feedForward: 96,
  heads: 4,
  keyValueHeads: 2,
  headLength: 16,
  context: 512,
  epsilon: 1e-5,
};
/** The last of three blocks is not used. */
export const VISION_SIZE = {
  imageSize: 32,
  patchSize: 8,
  embedding: 32,
  feedForward: 64,
  heads: 4,
  blocks: 3,
  epsilon: 1e-5,
};
export const MEAN: readonly number[] = [0.5, 0.4, 0.3];
export const DEVIATION: readonly number[] = [0.2, 0.25, 0.3];
export const PINPOINTS: readonly (readonly number[])[] = [
  [32, 64],
  [64, 32],
  [64, 64],
  [96, 32],
];
export const CHAT_TEMPLATE =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}";

export interface WrittenCheckpoint {
  folder: string;
  /** By the names of transformers' text models, `vision.…` and `projector.…`; values as they are stored. */
  weights: ReadonlyMap<string, Weights>;
  /** Rows of the embedding: more than there are tokens. */
  rows: number;
  vocabulary: readonly string[];
  encode: Encode;
  /** Tokens in front of every prompt. */
  first: readonly number[];
  reference: { text: ReferenceText; vision: ReferenceVision };
}

const fixture = fileURLToPath(new URL("../fixtures/tokenizer/text.txt", import.meta.url));

export async function writeCheckpointFolder(
  parent: string,
  given: Partial<CheckpointShape> = {},
): Promise<WrittenCheckpoint> {
  const shape = { ...CHECKPOINT, ...given };
  const tokenizer = shape.text === "qwen2" ? byteTokenizer() : pieceTokenizer();
  const rows = Math.ceil((tokenizer.vocabulary.length + 1) / 64) * 64;
  const weights = randomWeights(shape, rows, tokenizer.vocabulary);
  const folder = newModelFolder(parent, {
    ...tokenizer.files,
    "config.json": configOf(shape, rows),
    "preprocessor_config.json": { image_mean: MEAN, image_std: DEVIATION },
    "README.md": "---\nlicense: apache-2.0 # really\ntags:\n- llava\n---\n# A model\n",
  });
  const stored: Record<string, RawTensor> = {};
  const beside: Record<string, RawTensor> = {};
  for (const [name, weight] of weights) {
    const tensor = encodeWeights(weight, shape.dtype);
    if (name.startsWith("vision.") && shape.layout === "repository" && shape.tower === "beside") {
      beside[name.replace("vision.", "vision_model.")] = tensor;
    } else {
      stored[storedName(name, shape)] = tensor;
    }
  }
  const index = { dtype: "I64", shape: [1, 17], data: new Uint8Array(17 * 8) };
  if (shape.layout === "old-transformers") {
    stored["vision_tower.vision_model.embeddings.position_ids"] = index;
    stored["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = index;
  }
  await writeCheckpoint(folder, stored, shape.shards);
  if (shape.layout === "repository")
    await writeTower(join(folder, "vision_tower"), shape, {
      ...beside,
      "vision_model.embeddings.position_ids": index,
    });
  return {
    folder,
    weights,
    rows,
    vocabulary: tokenizer.vocabulary,
    encode: tokenizer.encode,
    first: tokenizer.first,
    reference: {
      text: { ...TEXT_SIZE, frequencies: frequenciesOf(shape) },
      vision: { ...VISION_SIZE, blocks: VISION_SIZE.blocks - 1, activation: shape.activation },
    },
  };
}

/** The tower of the layout `repository`: with weights, or only described. */
async function writeTower(
  folder: string,
  shape: CheckpointShape,
  tensors: Readonly<Record<string, RawTensor>>,
): Promise<void> {
  mkdirSync(folder);
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({ model_type: "clip", vision_config: visionConfigOf(shape), text_config: {} }),
  );
  if (shape.tower === "beside") await writeCheckpoint(folder, { ...tensors, logit_scale: scalar() });
}

function scalar(): RawTensor {
  return { dtype: "F32", shape: [], data: new Uint8Array(4) };
}

function storedName(name: string, { layout, projector }: CheckpointShape): string {
  const isText = name.startsWith("model.") || name.startsWith("lm_head.");
  const layer = /^projector\.(\d)\.(.*)$/.exec(name);
  switch (layout) {
    case "text-only":
      return name;
    case "repository":
      if (layer !== null)
        return `model.mm_projector.${projector === "linear" ? "" : `${layer[1]}.`}${layer[2]}`;
      if (name === "image_newline") return "model.image_newline";
      return isText ? name : name.replace("vision.", "model.vision_tower.vision_tower.vision_model.");
    case "old-transformers":
      if (layer !== null) return `multi_modal_projector.linear_${layer[1] === "0" ? 1 : 2}.${layer[2]}`;
      if (name === "image_newline") return name;
      return isText ? `language_model.${name}` : name.replace("vision.", "vision_tower.vision_model.");
    default:
      if (layer !== null) return `model.multi_modal_projector.linear_${layer[1] === "0" ? 1 : 2}.${layer[2]}`;
      if (name === "image_newline") return "model.image_newline";
      if (isText) return name.replace(/^model\./, "model.language_model.");
      return name.replace("vision.", "model.vision_tower.vision_model.");
  }
}

const CLASSES = { llama: "Llama", mistral: "Mistral", qwen2: "Qwen" };

function configOf(shape: CheckpointShape, rows: number): Record<string, unknown> {
  const { layout, text, version } = shape;
  const textConfig = {
    model_type: text,
    hidden_size: TEXT_SIZE.embedding,
    intermediate_size: TEXT_SIZE.feedForward,
    num_hidden_layers: TEXT_SIZE.blocks,
    num_attention_heads: TEXT_SIZE.heads,
    num_key_value_heads: TEXT_SIZE.keyValueHeads,
    max_position_embeddings: TEXT_SIZE.context,
    rms_norm_eps: TEXT_SIZE.epsilon,
    rope_theta: 500,
    tie_word_embeddings: shape.tied,
    vocab_size: rows,
    hidden_act: "silu",
    ...(text === "mistral" ? { sliding_window: 4096 } : {}),
    ...(text === "qwen2" ? { sliding_window: 64, use_sliding_window: false } : {}),
    ...(shape.ropeScaling === "linear" ? { rope_scaling: { type: "linear", factor: 4 } } : {}),
    ...(shape.ropeScaling === "llama3" ? { rope_scaling: { rope_type: "llama3", ...LLAMA3 } } : {}),
  };
  if (layout === "text-only") {
    const name = text === "qwen2" ? "Qwen2" : CLASSES[text];
    return { ...textConfig, architectures: [`${name}ForCausalLM`], _name_or_path: "somebody/Tiny Model" };
  }
  if (layout === "repository") {
    return {
      ...textConfig,
      _name_or_path: "somebody/Tiny Model",
      architectures: [`Llava${CLASSES[text]}ForCausalLM`],
      model_type: `llava_${text}`,
      mm_vision_tower: "somebody/tiny-clip",
      mm_projector_type: shape.projector === "linear" ? "linear" : "mlp2x_gelu",
      mm_vision_select_layer: -2,
      mm_vision_select_feature: "patch",
      mm_hidden_size: VISION_SIZE.embedding,
      image_aspect_ratio: version === "1.6" ? "anyres" : "pad",
      image_grid_pinpoints: PINPOINTS,
      ...(version === "1.6" ? { mm_patch_merge_type: "spatial_unpad" } : {}),
    };
  }
  return {
    architectures: [
      version === "1.6" ? "LlavaNextForConditionalGeneration" : "LlavaForConditionalGeneration",
    ],
    model_type: version === "1.6" ? "llava_next" : "llava",
    _name_or_path: "somebody/Tiny Model",
    text_config: textConfig,
    vision_config: { model_type: "clip_vision_model", ...visionConfigOf(shape) },
    vision_feature_layer: -2,
    vision_feature_select_strategy: "default",
    projector_hidden_act: "gelu",
    // (height, width) here.
    ...(version === "1.6"
      ? { image_grid_pinpoints: PINPOINTS.map(([width, height]) => [height, width]) }
      : {}),
  };
}

function visionConfigOf({ activation }: CheckpointShape): Record<string, unknown> {
  return {
    hidden_size: VISION_SIZE.embedding,
    intermediate_size: VISION_SIZE.feedForward,
    num_hidden_layers: VISION_SIZE.blocks,
    num_attention_heads: VISION_SIZE.heads,
    image_size: VISION_SIZE.imageSize,
    patch_size: VISION_SIZE.patchSize,
    hidden_act: activation,
  };
}

const LLAMA3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 128,
};

/** Llama 3.1: frequencies of short waves stay, those of long waves are divided, between them is a slope. */
function frequenciesOf({ ropeScaling }: CheckpointShape): number[] {
  const plain = Array.from({ length: TEXT_SIZE.headLength / 2 }, (_, pair) => 500 ** (-pair / 8));
  if (ropeScaling === "none") return plain;
  if (ropeScaling === "linear") return plain.map((frequency) => frequency / 4);
  return plain.map((frequency) => {
    const turns = (128 * frequency) / (2 * Math.PI);
    if (turns >= 4) return frequency;
    if (turns <= 1) return frequency / 8;
    const smooth = (turns - 1) / 3;
    return (1 - smooth) * (frequency / 8) + smooth * frequency;
  });
}

function randomWeights(
  shape: CheckpointShape,
  rows: number,
  vocabulary: readonly string[],
): ReadonlyMap<string, Weights> {
  const weights = new Map<string, Weights>();
  let { seed } = shape;
  const add = (name: string, lengths: readonly number[], deviation: number, mean = 0): void => {
    const count = lengths.reduce((product, length) => product * length, 1);
    const words = new Uint32Array(count);
    new RandomSource(seed++).writeInto(words);
    const spread = deviation * Math.sqrt(12);
    const values = Float32Array.from(words, (word) => mean + (word / 2 ** 32 - 0.5) * spread);
    weights.set(name, { shape: lengths, values: roundTo(values, shape.dtype) });
  };
  const linear = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    add(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
    if (bias) add(`${name}.bias`, [outputs], 0.2);
  };

  const text = TEXT_SIZE;
  const biased = shape.text === "qwen2" || shape.biases;
  add("model.embed_tokens.weight", [rows, text.embedding], 1);
  for (let block = 0; block < text.blocks; block++) {
    const layer = `model.layers.${block}`;
    add(`${layer}.input_layernorm.weight`, [text.embedding], 0.1, 1);
    linear(`${layer}.self_attn.q_proj`, text.heads * text.headLength, text.embedding, biased);
    linear(`${layer}.self_attn.k_proj`, text.keyValueHeads * text.headLength, text.embedding, biased);
    linear(`${layer}.self_attn.v_proj`, text.keyValueHeads * text.headLength, text.embedding, biased);
    linear(`${layer}.self_attn.o_proj`, text.embedding, text.heads * text.headLength, shape.biases);
    add(`${layer}.post_attention_layernorm.weight`, [text.embedding], 0.1, 1);
    linear(`${layer}.mlp.gate_proj`, text.feedForward, text.embedding, false);
    linear(`${layer}.mlp.up_proj`, text.feedForward, text.embedding, false);
    linear(`${layer}.mlp.down_proj`, text.embedding, text.feedForward, false);
  }
  add("model.norm.weight", [text.embedding], 0.1, 1);
  if (!shape.tied) add("lm_head.weight", [rows, text.embedding], 0.5);
  sayLetters(weights, rows, vocabulary);
  if (shape.layout === "text-only") return weights;

  const vision = VISION_SIZE;
  const norm = (name: string): void => {
    add(`${name}.weight`, [vision.embedding], 0.1, 1);
    add(`${name}.bias`, [vision.embedding], 0.1);
  };
  add("vision.embeddings.class_embedding", [vision.embedding], 1);
  add(
    "vision.embeddings.patch_embedding.weight",
    [vision.embedding, 3, vision.patchSize, vision.patchSize],
    0.07,
  );
  const positions = (vision.imageSize / vision.patchSize) ** 2 + 1;
  add("vision.embeddings.position_embedding.weight", [positions, vision.embedding], 0.5);
  norm("vision.pre_layrnorm");
  for (let block = 0; block < vision.blocks; block++) {
    const layer = `vision.encoder.layers.${block}`;
    norm(`${layer}.layer_norm1`);
    for (const letter of "qkv") {
      linear(`${layer}.self_attn.${letter}_proj`, vision.embedding, vision.embedding, true);
    }
    linear(`${layer}.self_attn.out_proj`, vision.embedding, vision.embedding, true);
    norm(`${layer}.layer_norm2`);
    linear(`${layer}.mlp.fc1`, vision.feedForward, vision.embedding, true);
    linear(`${layer}.mlp.fc2`, vision.embedding, vision.feedForward, true);
  }
  norm("vision.post_layernorm");
  linear("projector.0", text.embedding, vision.embedding, true);
  if (shape.projector === "mlp") linear("projector.2", text.embedding, text.embedding, true);
  if (shape.version === "1.6") add("image_newline", [text.embedding], 0.1);
  return weights;
}

/** Answers are compared as text: only tokens that are letters may win. The others' logits become nearly 0. */
function sayLetters(
  weights: ReadonlyMap<string, Weights>,
  rows: number,
  vocabulary: readonly string[],
): void {
  const head = weights.get("lm_head.weight") ?? weights.get("model.embed_tokens.weight");
  const width = TEXT_SIZE.embedding;
  for (let row = 0; row < rows; row++) {
    if (/^[a-zA-Z]+$/.test(vocabulary[row] ?? "")) continue;
    const values = head?.values.subarray(row * width, (row + 1) * width);
    values?.forEach((value, x) => (values[x] = value / 16));
  }
}

interface TinyTokenizer {
  files: Record<string, unknown>;
  vocabulary: readonly string[];
  encode: Encode;
  first: readonly number[];
}

function pieceTokenizer(): TinyTokenizer {
  const pieces = trainSentencePiece(readFileSync(fixture, "utf8"), 60);
  const added = [{ id: pieces.length, content: "<image>" }];
  return {
    files: {
      "tokenizer.model": sentencePieceModel(pieces),
      "tokenizer_config.json": {
        chat_template: CHAT_TEMPLATE,
        add_bos_token: true,
        added_tokens_decoder: { [pieces.length]: { content: "<image>", special: true } },
      },
    },
    vocabulary: [...pieces.map(({ text }) => text), "<image>"],
    encode: sentencePieceEncoder({
      pieces: pieces.map(({ text, score, type }) => ({ text, score, plain: type === 1 })),
      added: [...added, { id: 1, content: "<s>" }, { id: 2, content: "</s>" }],
      prefix: true,
    }),
    first: [1],
  };
}

function byteTokenizer(): TinyTokenizer {
  const source = PRE_TOKENIZER_CASES.find(({ name }) => name === "qwen2");
  if (source === undefined) throw new Error("no case for qwen2");
  const patterns = patternsOf(source.preTokenizer);
  const { vocabulary, merges } = trainByteLevel(readFileSync(fixture, "utf8"), patterns, 60);
  const size = Object.keys(vocabulary).length;
  const added = [
    { id: size, content: "<|im_start|>", special: true },
    { id: size + 1, content: "<|im_end|>", special: true },
  ];
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocabulary)) tokens[id] = token;
  return {
    files: {
      "tokenizer.json": {
        added_tokens: added,
        pre_tokenizer: source.preTokenizer,
        model: { type: "BPE", vocab: vocabulary, merges },
      },
      "tokenizer_config.json": { eos_token: "<|im_end|>", chat_template: CHAT_TEMPLATE },
    },
    vocabulary: [...tokens, ...added.map(({ content }) => content)],
    encode: byteLevelEncoder({ vocabulary, merges, added, patterns, ignoreMerges: false }),
    first: [],
  };
}
