import { copyFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type AdapterShape, writeRandomAdapter } from "../../bench/random-adapter.ts";
import { writeRandomTextModel } from "../../bench/random-model.ts";
import { testPicture } from "../../bench/test-picture.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import { dequantize } from "../gguf/dequantize.ts";
import { float32s, string } from "../gguf/metadata.ts";
import { quantize } from "../gguf/quantize.ts";
import { readGguf } from "../gguf/read.ts";
import { writeGguf } from "../gguf/write.ts";
import type { LoadOptions } from "../spec/options.ts";
import type { StreamPart } from "../spec/stream.ts";
import { load } from "./load.ts";

const folder = temporaryFolder();
/** As a store names its blobs. */
const blob = (digit: string): string => join(folder.path, `sha256-${digit.repeat(64)}`);

let base: { model: string; projector: string };
beforeAll(async () => {
  base = await tinyPair(folder.path);
});

interface Answer {
  text: string;
  /** Log probabilities of the first token and its alternatives. */
  first: number[];
  cachedIn: string | undefined;
}

async function answer(options: LoadOptions, picture?: Uint8Array): Promise<Answer> {
  await using model = await load({ threads: 1, ...options });
  const image = picture === undefined ? [] : [{ type: "image" as const, image: picture }];
  const content = [...image, { type: "text" as const, text: "What is this?" }];
  const parts: StreamPart[] = [];
  const messages = [{ role: "user" as const, content }];
  for await (const part of model.stream({ messages, maxTokens: 24, logprobs: 20 })) parts.push(part);
  const deltas = parts.filter((part) => part.type === "text-delta");
  return {
    text: deltas.map(({ delta }) => delta).join(""),
    first: (deltas[0]?.logprobs?.[0]?.top ?? []).map(({ logprob }) => logprob),
    cachedIn: parts.find((part) => part.type === "media")?.receipt.cachedIn,
  };
}

describe("files of a store", () => {
  it("need no ending", async () => {
    await copyFile(base.model, blob("a"));
    await copyFile(base.projector, blob("b"));
    const named = await answer(base, testPicture(40, 30, 1));
    const stored = await answer({ model: blob("a"), projector: blob("b") }, testPicture(40, 30, 1));
    expect(named.text).not.toBe("");
    expect(stored.text).toBe(named.text);
  });

  async function splitBlobs(digits: string): Promise<string[]> {
    const whole = await readGguf(base.model);
    const tensors = await Promise.all(
      [...whole.tensors.values()].map(async (info) => ({ ...info, data: await whole.readTensor(info) })),
    );
    const metadata = whole.metadata;
    const parts = await writeGguf(
      join(folder.path, `split-${digits}.gguf`),
      { metadata, tensors },
      { maxTensorsPerFile: 8 },
    );
    expect(parts).toHaveLength(digits.length);
    await Promise.all(parts.map((path, index) => rename(path, blob(digits[index] as string))));
    return Array.from(digits, blob);
  }

  it("may be parts of a model, given in order", async () => {
    const splitFiles = await splitBlobs("123");
    const { text } = await answer({ splitFiles, projector: base.projector });
    expect(text).toBe((await answer(base)).text);
    await using model = await load({ splitFiles });
    expect(model.info.files.model).toBe(splitFiles[0]);
    expect(model.info.fileBytes).toBeGreaterThan(500_000);
  });

  it("are refused in another order, incomplete, or with a stranger among them", async () => {
    const [first = "", second = "", third = ""] = await splitBlobs("456");
    const refused = (splitFiles: string[], message: RegExp): Promise<void> =>
      expect(load({ splitFiles })).rejects.toMatchObject({
        code: "invalid_model",
        message: expect.stringMatching(message),
      });
    await refused([first, third, second], /part 3 of 3, but it was given as part 2 of 3/);
    await refused([first, second], /part 1 of 3, but it was given as part 1 of 2/);
    await refused([first], /part 1 of 3, but it was given as part 1 of 1/);
    await refused([first, base.model, third], /no part of a model, but it was given as part 2 of 3/);
    await expect(load({ splitFiles: [] })).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(load({ model: second, splitFiles: [first, second, third] })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

const CHANGED = ["blk.0.attn_q.weight", "blk.1.attn_v.weight", "blk.1.ffn_down.weight", "output.weight"];

async function adapter(
  name: string,
  shape: Partial<AdapterShape> = {},
  of: string = base.model,
): Promise<string> {
  const path = join(folder.path, `${name}.gguf`);
  await writeRandomAdapter(path, await readGguf(of), {
    rank: 4,
    alpha: 6,
    tensors: CHANGED,
    seed: 7,
    ...shape,
  });
  return path;
}

/** The model with W + alpha / rank * B A in place of every W that the adapter changes. */
async function merge(adapterPath: string, name: string): Promise<string> {
  const model = await readGguf(base.model);
  const lora = await readGguf(adapterPath);
  const floats = async (from: typeof model, tensor: string): Promise<Float32Array> =>
    dequantize("f32", await from.readTensor(from.requireTensor(tensor)));
  const scaled = lora.number("adapter.lora.alpha") ?? 1;
  const tensors = [];
  for (const info of model.tensors.values()) {
    const weights = await floats(model, info.name); // (outputs, inputs) float32
    if (lora.tensors.has(`${info.name}.lora_a`)) {
      const isEmbedding = info.name === "token_embd.weight";
      const a = await floats(lora, `${info.name}.lora_a`);
      const b = await floats(lora, `${info.name}.lora_b`);
      const rank = lora.requireTensor(`${info.name}.lora_b`).shape[0] ?? 1;
      const [inputs = 1, outputs = 1] = info.shape;
      for (let row = 0; row < outputs; row++) {
        for (let column = 0; column < inputs; column++) {
          let sum = 0;
          for (let k = 0; k < rank; k++) {
            const left = isEmbedding ? b[column * rank + k] : b[row * rank + k];
            const right = isEmbedding ? a[row * rank + k] : a[k * inputs + column];
            sum += (left ?? 0) * (right ?? 0);
          }
          weights[row * inputs + column] = (weights[row * inputs + column] ?? 0) + (scaled / rank) * sum;
        }
      }
    }
    tensors.push({ ...info, data: quantize("f32", weights) });
  }
  const path = join(folder.path, `${name}.gguf`);
  await writeGguf(path, { metadata: model.metadata, tensors });
  return path;
}

function expectClose(actual: Answer, expected: Answer): void {
  expect(actual.first).toHaveLength(20);
  for (const [index, value] of actual.first.entries())
    expect(value).toBeCloseTo(expected.first[index] ?? NaN, 3);
  expect(actual.text).toBe(expected.text);
}

describe("a LoRA adapter", () => {
  it.each([
    ["matrices", CHANGED],
    ["embeddings", ["token_embd.weight", "blk.0.ffn_up.weight"]],
  ])("gives the answer of merged weights: %s", async (name, tensors) => {
    const path = await adapter(`of-${name}`, { tensors });
    const merged = await answer({ model: await merge(path, `merged-${name}`) });
    const applied = await answer({ model: base.model, adapters: [path] });
    expectClose(applied, merged);
    expect(applied.text).not.toBe((await answer(base)).text);
  });

  it("adds up with another, and both are named", async () => {
    const first = await adapter("first", { seed: 11, tensors: ["blk.0.attn_q.weight"] });
    const second = await adapter("second", {
      seed: 12,
      rank: 2,
      alpha: 3,
      tensors: ["blk.1.ffn_down.weight"],
    });
    const both = await answer({ model: base.model, adapters: [first, second] });
    const one = await answer({ model: base.model, adapters: [first] });
    expect(both.first).not.toEqual(one.first);
    await using model = await load({ model: base.model, adapters: [first, second] });
    expect(model.info.files).toEqual({ model: base.model, adapters: [first, second] });
  });

  it("works on quantised weights", async () => {
    const model = join(folder.path, "quantised.gguf");
    await writeRandomTextModel(model, { type: "q4_0" });
    const path = await adapter("for-quantised", {}, model);
    const applied = await answer({ model, adapters: [path] });
    expect(applied.text).not.toBe("");
    expect(applied.first).not.toEqual((await answer({ model })).first);
  });

  it("shares a picture's rows with the model without it, but no KV state", async () => {
    const path = await adapter("caches", { seed: 20 });
    const picture = testPicture(50, 50, 5);
    const plain = await answer(base, picture);
    expect((await answer(base, picture)).cachedIn).toBe("snapshot");
    const applied = await answer({ ...base, adapters: [path] }, picture);
    expect(applied.cachedIn).toBe("rows");
    const again = await answer({ ...base, adapters: [path] }, picture);
    expect(again.cachedIn).toBe("snapshot");
    expect(again).toMatchObject({ text: applied.text, first: applied.first });
    expect(applied.first).not.toEqual(plain.first);
  });

  const refusals: [string, Partial<AdapterShape>, RegExp][] = [
    ["of another architecture", { metadata: { "general.architecture": string("qwen2") } }, /for "qwen2"/],
    ["that is a control vector", { metadata: { "adapter.type": string("control") } }, /type "control"/],
    ["that is none", { metadata: { "general.type": undefined } }, /not an adapter/],
    ["without a kind", { metadata: { "adapter.type": undefined } }, /"adapter.type" is missing/],
    ["whose alpha is a word", { metadata: { "adapter.lora.alpha": string("6") } }, /alpha/],
    ["whose alpha is no number", { alpha: NaN }, /alpha/],
    ["that waits for words", { metadata: { "adapter.alora.invocation_tokens": float32s([1]) } }, /aLoRA/],
    ["that changes nothing", { tensors: [] }, /no tensors/],
  ];
  it.each(refusals)("%s is refused before native code sees it", async (name, shape, message) => {
    const path = await adapter(`refused ${name}`, shape);
    await expect(load({ model: base.model, adapters: [path] })).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(message),
    });
  });

  async function withTensors(name: string, shapes: Record<string, number[]>): Promise<string> {
    const path = join(folder.path, `${name}.gguf`);
    const tensors = Object.entries(shapes).map(([tensor, shape]) => {
      const values = new Float32Array(shape.reduce((product, length) => product * length, 1)).fill(0.1);
      return { name: tensor, type: "f32" as const, shape, data: quantize("f32", values) };
    });
    const metadata = {
      "general.type": string("adapter"),
      "general.architecture": string("llama"),
      "adapter.type": string("lora"),
    };
    await writeGguf(path, { metadata, tensors });
    return path;
  }

  const q = "blk.0.attn_q.weight";
  const misfits: [string, Record<string, number[]>, RegExp][] = [
    ["half a pair", { [`${q}.lora_a`]: [64, 4] }, /lora_b" is missing/],
    ["other ranks", { [`${q}.lora_a`]: [64, 4], [`${q}.lora_b`]: [8, 64] }, /do not fit/],
    ["a wrong width", { [`${q}.lora_a`]: [32, 4], [`${q}.lora_b`]: [4, 64] }, /do not fit/],
    ["a third dimension", { [`${q}.lora_a`]: [64, 4, 2], [`${q}.lora_b`]: [4, 64] }, /do not fit/],
    [
      "a block too many",
      { "blk.9.attn_q.weight.lora_a": [64, 4], "blk.9.attn_q.weight.lora_b": [4, 64] },
      /does not have/,
    ],
    ["a norm", { "blk.0.attn_norm.weight": [64] }, /changes a norm/],
    ["another tensor", { [q]: [64, 64] }, /neither .lora_a nor .lora_b/],
    [
      "embeddings that do not multiply",
      { "token_embd.weight.lora_a": [4, 512], "token_embd.weight.lora_b": [8, 64] },
      /do not fit/,
    ],
  ];
  it.each(misfits)("with %s is refused before native code sees it", async (name, shapes, message) => {
    const path = await withTensors(`misfit ${name}`, shapes);
    await expect(load({ model: base.model, adapters: [path] })).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(message),
    });
  });

  it("of embeddings that are the output matrix, too, is refused before native code sees it", async () => {
    const whole = await readGguf(base.model);
    const own = [...whole.tensors.values()].filter(({ name }) => name !== "output.weight");
    const tensors = await Promise.all(
      own.map(async (info) => ({ ...info, data: await whole.readTensor(info) })),
    );
    const tied = join(folder.path, "tied.gguf");
    await writeGguf(tied, { metadata: whole.metadata, tensors });
    const path = await adapter("for-tied", { tensors: ["token_embd.weight"] }, tied);
    await expect(load({ model: tied, adapters: [path] })).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/output matrix, too/),
    });
  });
});
