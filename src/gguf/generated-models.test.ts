import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TextModelShape, writeRandomTextModel } from "../../bench/random-model.ts";
import { type ProjectorShape, writeRandomProjector } from "../../bench/random-projector.ts";
import { dequantize } from "./dequantize.ts";
import type { Gguf } from "./gguf.ts";
import { type MetadataValue, bool, float32, float32s, int32s, string, strings, uint32 } from "./metadata.ts";
import { readGguf } from "./read.ts";
import { validateProjector } from "./validate-projector.ts";
import { validateTextModel } from "./validate-text-model.ts";
import { type TensorSource, writeGguf } from "./write.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mull-models-"));
});
afterAll(() => rm(directory, { recursive: true }));

const textModel = async (shape: Partial<TextModelShape> = {}): Promise<Gguf> => {
  const path = join(directory, "text.gguf");
  await writeRandomTextModel(path, shape);
  return readGguf(path);
};
const projector = async (shape: Partial<ProjectorShape> = {}): Promise<Gguf> => {
  const path = join(directory, "mmproj.gguf");
  await writeRandomProjector(path, shape);
  return readGguf(path);
};

describe("generated models", () => {
  test.each<Partial<TextModelShape>>([
    {},
    { type: "f16" },
    { type: "q8_0" },
    { type: "q4_0" },
    { vocabulary: 260, chatTemplate: "{{ messages[0].content }}" },
    { heads: 4, keyValueHeads: 4, vocabulary: 1200 },
  ])("text model %j is valid", async (shape) => {
    const gguf = await textModel(shape);
    expect(() => validateTextModel(gguf)).not.toThrow();
    expect(gguf.strings("tokenizer.ggml.tokens")).toHaveLength(shape.vocabulary ?? 512);
  });

  test.each<Partial<ProjectorShape>>([
    {},
    { classToken: true, postNorm: true, preNorm: false, activation: "gelu" },
    { projector: "linear", type: "f16" },
    { legacy: true, swappedFeedForward: true, classToken: true },
    { legacy: true, projector: "linear" },
    { featureLayer: 2 },
  ])("projector %j is valid", async (shape) => {
    const gguf = await projector(shape);
    expect(() => validateProjector(gguf)).not.toThrow();
    expect(gguf.metadata.has("clip.projector_type")).toBe(shape.legacy !== true);
  });

  test("are the same every time, and others for another seed", async () => {
    const { path } = await textModel({ type: "q4_0" });
    const first = await readFile(path);
    await textModel({ type: "q4_0" });
    expect(await readFile(path)).toEqual(first);
    await textModel({ type: "q4_0", seed: 2 });
    expect(await readFile(path)).not.toEqual(first);
  });

  test.each(["f32", "f16", "q8_0", "q4_0"] as const)(
    "weights of %s keep the size of activations",
    async (type) => {
      const gguf = await textModel({ type, embedding: 256, vocabulary: 512 });
      const values = dequantize(type, await gguf.readTensor(gguf.requireTensor("output.weight")));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const deviation = Math.sqrt(
        values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length,
      );
      expect(Math.abs(mean)).toBeLessThan(0.02 * deviation);
      expect(deviation * Math.sqrt(256)).toBeCloseTo(1, 1);
    },
  );
});

/** The same model with other metadata (undefined removes a key) and tensors (undefined removes one). */
async function altered(
  gguf: Gguf,
  changes: Record<string, MetadataValue | undefined>,
  tensorChanges: Record<string, TensorSource | undefined> = {},
): Promise<Gguf> {
  const metadata = new Map(gguf.metadata);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  const tensors: TensorSource[] = [];
  for (const info of gguf.tensors.values()) {
    const unchanged = { ...info, data: await gguf.readTensor(info) };
    const tensor = info.name in tensorChanges ? tensorChanges[info.name] : unchanged;
    if (tensor !== undefined) tensors.push(tensor);
  }
  const path = join(directory, "altered.gguf");
  await writeGguf(path, { metadata, tensors });
  return readGguf(path);
}

const zeros = (name: string, shape: readonly number[]): TensorSource => ({
  name,
  type: "f32",
  shape,
  data: new Uint8Array(4 * shape.reduce((product, length) => product * length, 1)),
});

describe("validateTextModel refuses", () => {
  const tokens = ["<unk>", "<s>", "</s>", ...Array.from({ length: 509 }, (_, index) => `t${index}`)];
  const types = (type: number): MetadataValue => int32s([2, 3, 3, type, ...Array<number>(508).fill(1)]);
  const withToken = (token: string): string[] => tokens.with(3, token);

  test.each<[string, Record<string, MetadataValue | undefined>, RegExp]>([
    ["no architecture", { "general.architecture": undefined }, /"general.architecture" is missing/],
    ["an architecture that is no name", { "general.architecture": string("../x") }, /no name/],
    ["an adapter", { "general.type": string("adapter") }, /adapter/],
    ["no blocks", { "llama.block_count": undefined }, /"llama.block_count" is missing/],
    ["0 blocks", { "llama.block_count": uint32(0) }, /is 0 instead of a whole number from 1 to 512/],
    ["513 blocks", { "llama.block_count": uint32(513) }, /is 513/],
    ["2^32 - 1 blocks", { "llama.block_count": uint32(2 ** 32 - 1) }, /is 4294967295/],
    ["blocks in words", { "llama.block_count": string("two") }, /is string instead of a number/],
    ["0 heads", { "llama.attention.head_count": uint32(0) }, /head_count" is 0/],
    ["no heads", { "llama.attention.head_count": undefined }, /head_count" is missing/],
    ["heads that do not divide the width", { "llama.attention.head_count": uint32(5) }, /does not divide/],
    [
      "key-value heads that do not divide",
      { "llama.attention.head_count_kv": uint32(3) },
      /does not divide 4 heads/,
    ],
    ["heads for too few blocks", { "llama.attention.head_count": int32s([4]) }, /must have 2 whole numbers/],
    ["a width of 0", { "llama.embedding_length": uint32(0) }, /embedding_length" is 0/],
    [
      "a width that the tensors do not have",
      { "llama.embedding_length": uint32(128) },
      /token_embd.weight" has shape/,
    ],
    ["an odd rotation", { "llama.rope.dimension_count": uint32(15) }, /dimension_count" is 15/],
    ["a rotation beyond the head", { "llama.rope.dimension_count": uint32(32) }, /dimension_count" is 32/],
    ["a context of 0", { "llama.context_length": uint32(0) }, /context_length" is 0/],
    [
      "an epsilon of 0",
      { "llama.attention.layer_norm_rms_epsilon": float32(0) },
      /is 0 instead of a number above 0/,
    ],
    ["a frequency base of infinity", { "llama.rope.freq_base": float32(Infinity) }, /is Infinity/],
    ["more experts than there are", { "llama.expert_used_count": uint32(2) }, /2 of 0 experts/],
    ["1025 experts", { "llama.expert_count": uint32(1025) }, /is 1025/],
    ["no tokens", { "tokenizer.ggml.tokens": undefined }, /"tokenizer.ggml.tokens" is missing/],
    ["two tokens", { "tokenizer.ggml.tokens": strings(["a", "b"]) }, /has 2 tokens/],
    ["a vocabulary of no kind", { "tokenizer.ggml.model": string("none") }, /no vocabulary/],
    ["a repeated token", { "tokenizer.ggml.tokens": strings(withToken("t7")) }, /token 10 repeats .* "t7"/],
    [
      "tokens that differ behind a NUL",
      { "tokenizer.ggml.tokens": strings(withToken("t7\0x")) },
      /token 10 repeats/,
    ],
    ["scores for other tokens", { "tokenizer.ggml.scores": float32s([1, 2]) }, /2 entries for 512 tokens/],
    ["a score of NaN", { "tokenizer.ggml.scores": float32s(Array<number>(512).fill(NaN)) }, /NaN/],
    ["types for other tokens", { "tokenizer.ggml.token_type": int32s([1]) }, /1 entries for 512 tokens/],
    ["a merge list that is missing", { "tokenizer.ggml.model": string("gpt2") }, /merges" is missing/],
    [
      "a template of 5 MB",
      { "tokenizer.chat_template": string("x".repeat(5_000_000)) },
      /5000000 characters/,
    ],
    ...["<0x-1>", "<0xZZ>", "<0xab>", "<0x001>", "x"].map(
      (token): [string, Record<string, MetadataValue>, RegExp] => [
        `the byte token ${token}`,
        { "tokenizer.ggml.tokens": strings(withToken(token)), "tokenizer.ggml.token_type": types(6) },
        /token 3 is of type byte/,
      ],
    ),
  ])("%s", async (_, changes, reason) => {
    const gguf = await altered(await textModel(), changes);
    expect(() => validateTextModel(gguf)).toThrow(reason);
  });

  test("a projector, with the right advice", async () => {
    const gguf = await projector();
    expect(() => validateTextModel(gguf)).toThrow(
      expect.objectContaining({ code: "invalid_model", hint: expect.stringContaining("--projector") }),
    );
  });

  test("a model without its first tensor", async () => {
    const gguf = await altered(await textModel(), {}, { "token_embd.weight": undefined });
    expect(() => validateTextModel(gguf)).toThrow(`tensor "token_embd.weight" is missing`);
  });
});

describe("validateProjector refuses", () => {
  test.each<[string, Record<string, MetadataValue | undefined>, RegExp]>([
    ["another kind", { "clip.projector_type": string("sculpture") }, /"sculpture" are not supported/],
    [
      "one for sound",
      { "clip.has_vision_encoder": undefined, "clip.has_audio_encoder": bool(true) },
      /takes sound, not pictures/,
    ],
    ["one without an encoder", { "clip.has_vision_encoder": bool(false) }, /has no vision encoder/],
    ["silu", { "clip.use_silu": bool(true) }, /"clip.use_silu" is true/],
    ["no image size", { "clip.vision.image_size": undefined }, /"clip.vision.image_size" is missing/],
    ["an image size of 2^30", { "clip.vision.image_size": uint32(2 ** 30) }, /image_size" is 1073741824/],
    ["a patch size of 0", { "clip.vision.patch_size": uint32(0) }, /patch_size" is 0/],
    ["a patch size that does not divide", { "clip.vision.patch_size": uint32(7) }, /patch size of 7/],
    [
      "more than 1024 patches",
      { "clip.vision.image_size": uint32(2048), "clip.vision.patch_size": uint32(1) },
      /at most 1024/,
    ],
    [
      "another patch size than that of the weights",
      { "clip.vision.patch_size": uint32(4) },
      /v.patch_embd.weight" has shape/,
    ],
    [
      "another number of patches",
      { "clip.vision.image_size": uint32(64) },
      /v.position_embd.weight" has shape/,
    ],
    ["0 heads", { "clip.vision.attention.head_count": uint32(0) }, /head_count" is 0/],
    [
      "heads that do not divide",
      { "clip.vision.attention.head_count": uint32(5) },
      /5 attention heads do not divide/,
    ],
    ["a block without tensors", { "clip.vision.block_count": uint32(3) }, /"v.blk.2.ln1.weight" is missing/],
    [
      "another feed-forward width",
      { "clip.vision.feed_forward_length": uint32(64) },
      /v.blk.0.ffn_up.weight" has shape/,
    ],
    ["a negative epsilon", { "clip.vision.attention.layer_norm_epsilon": float32(-1) }, /is -1/],
    ["two colours", { "clip.vision.image_mean": float32s([0, 0]) }, /one number per colour/],
    ["a deviation of 0", { "clip.vision.image_std": float32s([1, 0, 1]) }, /one number per colour/],
    [
      "a feature layer that is not there",
      { "clip.vision.feature_layer": int32s([3]) },
      /numbers from 0 to 2/,
    ],
    [
      "feature layers that the projector does not fit",
      { "clip.vision.feature_layer": int32s([1, 2]) },
      /mm.0.weight" has shape/,
    ],
  ])("%s", async (_, changes, reason) => {
    const gguf = await altered(await projector(), changes);
    expect(() => validateProjector(gguf)).toThrow(reason);
  });

  test.each<[string, TensorSource | undefined, RegExp]>([
    ["v.patch_embd.weight", undefined, /"v.patch_embd.weight" is missing/],
    ["v.blk.1.attn_k.weight", undefined, /"v.blk.1.attn_k.weight" is missing/],
    [
      "v.blk.1.attn_k.bias",
      zeros("v.blk.1.attn_k.bias", [31]),
      /"v.blk.1.attn_k.bias" has shape \[31\] instead of \[32\]/,
    ],
    ["v.pre_ln.weight", zeros("v.pre_ln.weight", [16]), /"v.pre_ln.weight" has shape/],
    [
      "mm.0.weight",
      zeros("mm.0.weight", [16, 64]),
      /"mm.0.weight" has shape \[16, 64\] instead of \[32, any\]/,
    ],
    ["mm.2.weight", undefined, /"mm.2.weight" is missing/],
    ["mm.2.weight", zeros("mm.2.weight", [32, 64]), /"mm.2.weight" has shape/],
    ["mm.2.weight", zeros("mm.3.weight", [64, 64]), /"mm.1.weight" is missing/],
  ])("a file whose %s is wrong", async (name, tensor, reason) => {
    const gguf = await altered(await projector(), {}, { [name]: tensor });
    expect(() => validateProjector(gguf)).toThrow(reason);
  });

  test("a text model, with the right advice", async () => {
    const gguf = await textModel();
    expect(() => validateProjector(gguf)).toThrow(
      expect.objectContaining({ code: "invalid_model", hint: expect.stringContaining("--model-file") }),
    );
  });
});
