import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { testPicture } from "../../../bench/test-picture.ts";
import {
  CHAT_TEMPLATE,
  type CheckpointShape,
  CHECKPOINT,
  DEVIATION,
  MEAN,
  PINPOINTS,
  TEXT_SIZE,
  VISION_SIZE,
  type WrittenCheckpoint,
  writeCheckpointFolder,
} from "../../../test/support/llava-checkpoint.ts";
import { embedTokens, runText, runVision } from "../../../test/support/reference-transformers.ts";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { type Weights, encodeWeights } from "../../../test/support/write-safetensors.ts";
import type { Gguf } from "../../gguf/gguf.ts";
import { readGguf } from "../../gguf/read.ts";
import { load } from "../../index.ts";
import { convertFolder } from "./convert-folder.ts";
import type { ConvertOptions, ConvertedModel } from "./convert-options.ts";

const folder = temporaryFolder();

async function convert(
  checkpoint: { folder: string },
  options: ConvertOptions = {},
): Promise<ConvertedModel> {
  const output = mkdtempSync(join(folder.path, "output-"));
  const converted = await convertFolder(checkpoint.folder, output, options);
  const paths = [converted.model, converted.projector].filter((path) => path !== undefined);
  expect(readdirSync(output).toSorted()).toEqual(
    paths.map((path) => path.slice(output.length + 1)).toSorted(),
  );
  return converted;
}

interface Variant extends Partial<CheckpointShape> {
  title: string;
}

const VARIANTS: readonly Variant[] = [
  { title: "llava-hf 1.5 on Llama" },
  { title: "llava-hf 1.5 on Llama, shards, bf16", dtype: "BF16", shards: 3, seed: 2 },
  { title: "llava-hf 1.6 on Mistral", text: "mistral", version: "1.6", seed: 3 },
  { title: "llava-hf of old names 1.5 on Mistral", text: "mistral", layout: "old-transformers", seed: 24 },
  {
    title: "llava-hf of old names 1.6 on Qwen2, f16",
    text: "qwen2",
    layout: "old-transformers",
    version: "1.6",
    dtype: "F16",
    seed: 25,
  },
  { title: "llava-hf 1.5 on Qwen2, tied", text: "qwen2", tied: true, seed: 46 },
  { title: "LLaVA-repo 1.5 on Llama, tower beside", layout: "repository", tower: "beside", seed: 7 },
  {
    title: "LLaVA-repo 1.6 on Mistral, tower inside, shards",
    text: "mistral",
    layout: "repository",
    version: "1.6",
    shards: 2,
    seed: 8,
  },
  {
    title: "LLaVA-repo 1.5 on Qwen2, tower inside, gelu",
    text: "qwen2",
    layout: "repository",
    activation: "gelu",
    seed: 9,
  },
  {
    title: "LLaVA-repo 1.0: a linear projector",
    layout: "repository",
    tower: "beside",
    projector: "linear",
    seed: 10,
  },
  { title: "Llama alone, with biases", layout: "text-only", biases: true, seed: 11 },
  {
    title: "Llama 3.1 alone, its scaling of positions",
    layout: "text-only",
    ropeScaling: "llama3",
    seed: 12,
  },
  {
    title: "Llama alone, positions scaled linearly, tied",
    layout: "text-only",
    ropeScaling: "linear",
    tied: true,
    seed: 13,
  },
  { title: "Qwen2 alone, bf16", layout: "text-only", text: "qwen2", dtype: "BF16", seed: 14 },
  { title: "Mistral alone, shards", layout: "text-only", text: "mistral", shards: 4, seed: 15 },
];

/** GGUF name by name in transformers; `#` is the number of a block. */
const TEXT_NAMES: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
  "model.layers.#.input_layernorm": "blk.#.attn_norm",
  "model.layers.#.self_attn.q_proj": "blk.#.attn_q",
  "model.layers.#.self_attn.k_proj": "blk.#.attn_k",
  "model.layers.#.self_attn.v_proj": "blk.#.attn_v",
  "model.layers.#.self_attn.o_proj": "blk.#.attn_output",
  "model.layers.#.post_attention_layernorm": "blk.#.ffn_norm",
  "model.layers.#.mlp.gate_proj": "blk.#.ffn_gate",
  "model.layers.#.mlp.up_proj": "blk.#.ffn_up",
  "model.layers.#.mlp.down_proj": "blk.#.ffn_down",
};
const PROJECTOR_NAMES: Readonly<Record<string, string>> = {
  "vision.embeddings.class_embedding": "v.class_embd",
  "vision.embeddings.patch_embedding.weight": "v.patch_embd.weight",
  "vision.embeddings.position_embedding.weight": "v.position_embd.weight",
  "vision.pre_layrnorm": "v.pre_ln",
  "vision.encoder.layers.#.layer_norm1": "v.blk.#.ln1",
  "vision.encoder.layers.#.layer_norm2": "v.blk.#.ln2",
  "vision.encoder.layers.#.self_attn.q_proj": "v.blk.#.attn_q",
  "vision.encoder.layers.#.self_attn.k_proj": "v.blk.#.attn_k",
  "vision.encoder.layers.#.self_attn.v_proj": "v.blk.#.attn_v",
  "vision.encoder.layers.#.self_attn.out_proj": "v.blk.#.attn_out",
  "vision.encoder.layers.#.mlp.fc1": "v.blk.#.ffn_up",
  "vision.encoder.layers.#.mlp.fc2": "v.blk.#.ffn_down",
  "projector.0": "mm.0",
  "projector.2": "mm.2",
  image_newline: "model.image_newline",
};

function ggufName(name: string, names: Readonly<Record<string, string>>): string | undefined {
  const block = /\.(\d+)\./.exec(name.replace(/^projector\.\d/, ""))?.[1];
  const general = block === undefined ? name : name.replace(`.${block}.`, ".#.");
  const [, stem = general, ending = ""] = /^(.*)(\.weight|\.bias)$/.exec(general) ?? [];
  const found = names[general] ?? (names[stem] === undefined ? undefined : names[stem] + ending);
  return found?.replace("#", block ?? "");
}

/** The value at (head, pair, second of the pair) is the one that was at (head, second, pair). */
function interleave({ shape, values }: Weights, heads: number): Weights {
  const [rows = 1, columns = 1] = shape;
  const half = rows / heads / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const [second, pair] = [Math.floor(row / half) % 2, row % half];
    const to = head * 2 * half + 2 * pair + second;
    for (let column = 0; column < columns; column++)
      out[to * columns + column] = values[row * columns + column] as number;
  }
  return { shape, values: out };
}

interface ExpectedTensor {
  type: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

function expectedTensors(
  checkpoint: WrittenCheckpoint,
  shape: CheckpointShape,
  part: "text" | "projector",
): Map<string, ExpectedTensor> {
  const expected = new Map<string, ExpectedTensor>();
  for (const [name, weights] of checkpoint.weights) {
    const found = ggufName(name, part === "text" ? TEXT_NAMES : PROJECTOR_NAMES);
    // The last block and the norm behind it have no part in what is used.
    if (found === undefined || found.startsWith("v.blk.2.")) continue;
    const turned = shape.text !== "qwen2" && /self_attn\.[qk]_proj/.test(name) && part === "text";
    const heads = /q_proj/.test(name) ? TEXT_SIZE.heads : TEXT_SIZE.keyValueHeads;
    const ordered = turned ? interleave(weights, heads) : weights;
    const isMatrix = weights.shape.length > 1 && found !== "v.position_embd.weight";
    const wide = found === "v.patch_embd.weight" && shape.dtype === "BF16";
    const dtype = isMatrix && !wide ? shape.dtype : "F32";
    const type = { F32: "f32", F16: "f16", BF16: "bf16" }[dtype];
    expected.set(found, {
      type,
      shape: weights.shape.toReversed(),
      bytes: encodeWeights(ordered, dtype).data,
    });
  }
  return expected;
}

async function actualTensors(gguf: Gguf): Promise<Map<string, ExpectedTensor>> {
  const actual = new Map<string, ExpectedTensor>();
  for (const info of gguf.tensors.values()) {
    actual.set(info.name, { type: info.type, shape: info.shape, bytes: await gguf.readTensor(info) });
  }
  return actual;
}

function compare(actual: Map<string, ExpectedTensor>, expected: Map<string, ExpectedTensor>): void {
  expect([...actual.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [name, tensor] of expected) {
    const { bytes, ...rest } = actual.get(name) as ExpectedTensor;
    expect({ name, ...rest }).toEqual({ name, type: tensor.type, shape: tensor.shape });
    expect([name, Buffer.compare(bytes, tensor.bytes)]).toEqual([name, 0]);
  }
}

const FILE_TYPES = { F32: 0, F16: 1, BF16: 32 };

function plainKeys(gguf: Gguf): Record<string, unknown> {
  const entries = [...gguf.metadata].filter(([key]) => !key.startsWith("tokenizer."));
  return Object.fromEntries(
    entries.map(([key, { type, value }]) => {
      if (type === "float32") return [key, Number(value.toPrecision(6))];
      return [
        key,
        type === "array"
          ? Array.from(value as ArrayLike<number>, (item) => Number(item.toPrecision(6)))
          : value,
      ];
    }),
  );
}

describe.each(VARIANTS)("$title", (given) => {
  const shape = { ...CHECKPOINT, ...given };
  const architecture = shape.text === "qwen2" ? "qwen2" : "llama";

  it("has every tensor and key, and answers as the weights say", async () => {
    const checkpoint = await writeCheckpointFolder(folder.path, given);
    const converted = await convert(checkpoint);
    expect(converted.warnings).toEqual([]);
    const text = await readGguf(converted.model);
    const expected = expectedTensors(checkpoint, shape, "text");
    const actual = await actualTensors(text);
    if (shape.ropeScaling === "llama3") checkRopeFactors(actual, checkpoint);
    compare(actual, expected);
    expect(plainKeys(text)).toEqual({
      "general.architecture": architecture,
      "general.type": "model",
      "general.name": "Tiny Model",
      "general.size_label": expect.stringMatching(/^\d+K$/),
      "general.license": "apache-2.0",
      "general.file_type": FILE_TYPES[shape.dtype],
      "general.quantization_version": 2,
      [`${architecture}.block_count`]: 2,
      [`${architecture}.context_length`]: 512,
      [`${architecture}.embedding_length`]: 64,
      [`${architecture}.feed_forward_length`]: 96,
      [`${architecture}.vocab_size`]: checkpoint.rows,
      [`${architecture}.attention.head_count`]: 4,
      [`${architecture}.attention.head_count_kv`]: 2,
      [`${architecture}.attention.key_length`]: 16,
      [`${architecture}.attention.value_length`]: 16,
      [`${architecture}.attention.layer_norm_rms_epsilon`]: 1e-5,
      ...(shape.text === "mistral" ? { "llama.attention.sliding_window": 4096 } : {}),
      [`${architecture}.rope.dimension_count`]: 16,
      [`${architecture}.rope.freq_base`]: 500,
      ...(shape.ropeScaling === "linear"
        ? { "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 }
        : {}),
    });
    expect(text.string("tokenizer.chat_template")).toBe(CHAT_TEMPLATE);
    const tokens = text.requireStrings("tokenizer.ggml.tokens");
    expect(tokens).toHaveLength(checkpoint.rows);
    expect(tokens.slice(0, checkpoint.vocabulary.length)).toEqual(checkpoint.vocabulary);
    await checkProjector(converted.projector, checkpoint, shape);
    await checkAnswer(checkpoint, shape, converted);
  });
});

/** The engine divides the plain frequencies by these; takes them from the tensors that are compared byte by byte. */
function checkRopeFactors(tensors: Map<string, ExpectedTensor>, { reference }: WrittenCheckpoint): void {
  const bytes = tensors.get("rope_freqs.weight")?.bytes ?? new Uint8Array(0);
  const factors = new Float32Array(bytes.buffer);
  const { frequencies } = reference.text;
  const scaled = Array.from(
    factors,
    (factor, pair) => 500 ** (-pair / 8) / factor / (frequencies[pair] ?? 0),
  );
  expect(scaled.map((ratio) => ratio.toFixed(6))).toEqual(Array.from({ length: 8 }, () => "1.000000"));
  tensors.delete("rope_freqs.weight");
}

async function checkProjector(
  path: string | undefined,
  checkpoint: WrittenCheckpoint,
  shape: CheckpointShape,
): Promise<void> {
  expect(path === undefined).toBe(shape.layout === "text-only");
  if (path === undefined) return;
  const gguf = await readGguf(path);
  compare(await actualTensors(gguf), expectedTensors(checkpoint, shape, "projector"));
  const repository = shape.layout === "repository";
  const next = shape.version === "1.6";
  expect(plainKeys(gguf)).toEqual({
    "general.architecture": "clip",
    "general.type": "mmproj",
    "general.name": "Tiny Model",
    "general.description": "image encoder for LLaVA",
    "general.license": "apache-2.0",
    "general.file_type": FILE_TYPES[shape.dtype],
    "general.quantization_version": 2,
    "clip.has_vision_encoder": true,
    "clip.has_text_encoder": false,
    "clip.has_llava_projector": true,
    "clip.projector_type": shape.projector,
    "clip.use_gelu": shape.activation === "gelu",
    "clip.vision.image_size": 32,
    "clip.vision.patch_size": 8,
    "clip.vision.embedding_length": 32,
    "clip.vision.feed_forward_length": 64,
    "clip.vision.block_count": 2,
    "clip.vision.projection_dim": 64,
    "clip.vision.attention.head_count": 4,
    "clip.vision.attention.layer_norm_epsilon": 1e-5,
    "clip.vision.feature_layer": [2],
    "clip.vision.image_mean": MEAN,
    "clip.vision.image_std": DEVIATION,
    ...(next
      ? {
          "clip.vision.image_grid_pinpoints": PINPOINTS.flat(),
          "clip.vision.mm_patch_merge_type": "spatial_unpad",
        }
      : {}),
    ...(repository ? { "clip.vision.image_aspect_ratio": next ? "anyres" : "pad" } : {}),
  });
}

const QUESTION = "What is in this image?";
const ANSWER_TOKENS = 12;
/** The engine keeps keys and values in half precision: closer calls than this are not the converter's. */
const CLEAR_LEAD = 0.02;

/** Text with a picture; LLaVA 1.6 and text-only models are asked without. */
async function checkAnswer(
  checkpoint: WrittenCheckpoint,
  shape: CheckpointShape,
  converted: ConvertedModel,
): Promise<void> {
  const sees = converted.projector !== undefined && shape.version === "1.5";
  const model = await load({
    model: converted.model,
    ...(sees ? { projector: converted.projector as string } : {}),
    template: "plain",
    device: "cpu",
    encoderPrecision: "f32",
    diskCache: false,
  });
  try {
    const image = {
      type: "image" as const,
      image: testPicture(VISION_SIZE.imageSize, VISION_SIZE.imageSize, 5),
    };
    let answer = "";
    const content = [...(sees ? [image] : []), { type: "text" as const, text: QUESTION }];
    for await (const part of model.stream({
      messages: [{ role: "user", content }],
      maxTokens: ANSWER_TOKENS,
      temperature: 0,
    })) {
      if (part.type === "text-delta") answer += part.delta;
    }
    const { text, tokens } = referenceAnswer(checkpoint, sees);
    expect(tokens).toHaveLength(ANSWER_TOKENS);
    expect(answer.trimStart().slice(0, text.length)).toBe(text);
  } finally {
    await model.close();
  }
}

/** Greedy tokens by float64, up to the first one that is no clear choice. */
function referenceAnswer(checkpoint: WrittenCheckpoint, sees: boolean): { text: string; tokens: number[] } {
  const { weights, reference, encode, first, vocabulary } = checkpoint;
  const question = encode(sees ? `\n${QUESTION}` : QUESTION);
  const picture = sees ? runVision(weights, reference.vision, normalisedPicture()) : [];
  const prompt = [...embedTokens(weights, first), ...picture, ...embedTokens(weights, question)];
  const tokens: number[] = [];
  while (tokens.length < ANSWER_TOKENS) {
    const logits = runText(weights, reference.text, [...prompt, ...embedTokens(weights, tokens)]);
    const ranked = logits.map((logit, token) => ({ logit, token })).toSorted((a, b) => b.logit - a.logit);
    const [best, second] = ranked as [(typeof ranked)[0], (typeof ranked)[0]];
    if (best.logit - second.logit < CLEAR_LEAD) break;
    tokens.push(best.token);
  }
  return {
    text: tokens
      .map((token) => vocabulary[token])
      .join("")
      .replaceAll("\u2581", " ")
      .trimStart(),
    tokens,
  };
}

/** (3, size, size): the pixels of `testPicture`, by its definition. */
function normalisedPicture(): Float32Array {
  const size = VISION_SIZE.imageSize;
  const planes = new Float32Array(3 * size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const wave = (5 * 37 + 128 * (1 + Math.sin((x + y * 5) / 20))) & 255;
      for (const [channel, level] of [(255 * x) / size, (255 * y) / size, wave].entries()) {
        const value = Math.trunc(level) / 255;
        planes[(channel * size + y) * size + x] =
          (value - (MEAN[channel] as number)) / (DEVIATION[channel] as number);
      }
    }
  }
  return planes;
}
