import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { writeRandomAdapter } from "../../bench/random-adapter.ts";
import { BAKLLAVA_TEXT_MODEL, writeRandomTextModel } from "../../bench/random-model.ts";
import { temporaryFolder, tinyPair } from "../../test/support/tiny-models.ts";
import { readGguf } from "../gguf/read.ts";
import { estimateFromSizes } from "./estimate-from-sizes.ts";
import { estimateMemory } from "./estimate-memory.ts";
import { estimateModelMemory } from "./estimate-model-memory.ts";
import { load } from "./load.ts";

const folder = temporaryFolder();
const picoPath = (name: string): string =>
  fileURLToPath(new URL(`../../models/pico/${name}.gguf`, import.meta.url));
const pico = async () => ({
  text: await readGguf(picoPath("pico")),
  projector: await readGguf(picoPath("pico-mmproj")),
});

describe("estimateMemory", () => {
  it("adds up", async () => {
    const { total, ...parts } = estimateMemory(await pico());
    expect(total).toBe(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
    for (const bytes of Object.values(parts)) expect(bytes).toBeGreaterThan(0);
  });

  it("counts every context that can be full", async () => {
    const { text } = await pico();
    const kvCache = (contextLength: number, parallel?: number | "auto"): number =>
      estimateMemory({ text }, { contextLength, ...(parallel === undefined ? {} : { parallel }) }).kvCache;
    // A small model has one context to spare.
    expect(kvCache(2048)).toBe(2 * kvCache(1024));
    expect(kvCache(1024, 3)).toBe(2 * kvCache(1024));
    expect(kvCache(1024, "auto")).toBe(kvCache(1024));
    // Native code takes no fewer than a batch.
    expect(kvCache(16)).toBe(kvCache(128));
  });

  it("knows the encoder in the type it computes with", async () => {
    const headers = await pico();
    const encoder = (encoderPrecision: "auto" | "f32" | "f16" | "q8_0"): number =>
      estimateMemory(headers, { encoderPrecision }).encoder;
    // A small one stays in f32.
    expect(encoder("auto")).toBe(encoder("f32"));
    expect(encoder("f16")).toBeLessThan(0.65 * encoder("f32"));
    expect(encoder("q8_0")).toBeLessThan(encoder("f16"));
    expect(estimateMemory({ text: headers.text }).encoder).toBe(0);
  });

  it("is that of the resident memory of pico's engine", async () => {
    await using model = await load({ model: "pico", device: "cpu", diskCache: false });
    await model.ask("Who are you?");
    const { residentBytes } = await model.stats();
    const { total } = await estimateModelMemory({ model: "pico" });
    // `npm run bench:estimate` holds it to a tenth; other versions of Node take another fixed part.
    expect(total / residentBytes).toBeGreaterThan(0.75);
    expect(total / residentBytes).toBeLessThan(1.3);
  });
});

describe("estimateModelMemory", () => {
  it("takes options as load() does", async () => {
    const files = await tinyPair(folder.path);
    const plain = await estimateModelMemory(files);
    const adapter = join(folder.path, "adapter.gguf");
    const tensors = ["blk.0.attn_q.weight"];
    await writeRandomAdapter(adapter, await readGguf(files.model), { rank: 4, alpha: 4, seed: 1, tensors });
    const adapted = await estimateModelMemory({ ...files, adapters: [adapter] });
    expect(adapted.weights - plain.weights).toBe(2 * 64 * 4 * 4);
    expect((await estimateModelMemory({ ...files, contextLength: 256 })).kvCache).toBeLessThan(plain.kvCache);
    expect(await estimateModelMemory(files, 256)).toEqual(
      await estimateModelMemory({ ...files, contextLength: 256 }),
    );
    await expect(estimateModelMemory({ model: "no-such-model" })).rejects.toMatchObject({
      code: "model_not_found",
    });
  });

  it("looks again when a file has changed", async () => {
    const model = join(folder.path, "changing.gguf");
    await writeRandomTextModel(model);
    const before = await estimateModelMemory({ model });
    expect(await estimateModelMemory({ model })).toBe(before);
    await writeRandomTextModel(`${model}.new`, { blocks: 4 });
    await rename(`${model}.new`, model);
    expect((await estimateModelMemory({ model })).weights).toBeGreaterThan(before.weights);
    await rm(model);
    await expect(estimateModelMemory({ model })).rejects.toMatchObject({ code: "model_not_found" });
  });
});

describe("estimateFromSizes", () => {
  it("comes near what is known of a 7B model with grouped-query attention", () => {
    const { blocks, embedding, heads, keyValueHeads, contextLength } = BAKLLAVA_TEXT_MODEL;
    const kv = blocks * keyValueHeads * (embedding / heads) * 2 * 2 * contextLength;
    const exact = 102e6 + 40e6 + 60e6 + 4.1e9 + kv + 0.32e9;
    const rough = estimateFromSizes({ modelBytes: 4.1e9, projectorBytes: 0.6e9, contextLength });
    expect(rough / exact).toBeGreaterThan(0.9);
    expect(rough / exact).toBeLessThan(1.1);
  });

  it("grows with the context and with the model", () => {
    const at = (modelBytes: number, contextLength: number): number =>
      estimateFromSizes({ modelBytes, contextLength });
    expect(at(4e9, 8192)).toBeGreaterThan(at(4e9, 4096));
    expect(at(8e9, 4096) - at(4e9, 4096)).toBeGreaterThan(4e9);
    expect(at(0, 4096)).toBeLessThan(0.2e9);
  });
});
