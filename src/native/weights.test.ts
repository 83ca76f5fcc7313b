import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gguf } from "../gguf/gguf.ts";
import { quantize } from "../gguf/quantize.ts";
import { readGguf } from "../gguf/read.ts";
import { string } from "../gguf/metadata.ts";
import { writeGguf } from "../gguf/write.ts";
import { Backend } from "./backend.ts";
import { loadLibraries } from "./libraries.ts";
import { type WeightType, loadWeights } from "./weights.ts";

const COLUMNS = 64;
const ROWS = 5;
const SOURCES = ["f32", "f16", "bf16", "q8_0", "q4_0"] as const;
const TARGETS = ["f32", "f16", "bf16", "q8_0"] as const satisfies WeightType[];

let folder: string;
let backend: Backend;
let gguf: Gguf;
const values = Float32Array.from({ length: COLUMNS * ROWS }, (_, index) => Math.sin(index * 1.7));

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-weights-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 1 });
  const file = path.join(folder, "weights.gguf");
  await writeGguf(file, {
    metadata: { "general.architecture": string("clip") },
    tensors: SOURCES.map((type) => ({
      name: type,
      type,
      shape: [COLUMNS, ROWS],
      data: quantize(type, values),
    })),
  });
  gguf = await readGguf(file);
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

describe("loadWeights", () => {
  for (const source of SOURCES) {
    for (const type of TARGETS) {
      test(`brings ${source} to ${type}`, async () => {
        const weights = await loadWeights(backend, gguf, [{ name: source, shape: [COLUMNS, ROWS], type }]);
        const tensor = weights.get(source);
        expect(tensor).toMatchObject({ type, shape: [COLUMNS, ROWS, 1, 1] });
        const bytes = new Uint8Array(backend.ggml.nbytes(tensor.pointer));
        backend.api.tensorGet(tensor.pointer, bytes, 0, bytes.length);
        const floats = new Float32Array(COLUMNS * ROWS);
        if (type === "f32") floats.set(new Float32Array(bytes.buffer));
        else backend.quantize.toFloat({ f16: 1, bf16: 30, q8_0: 8 }[type], bytes, floats, floats.length);
        const largest = Math.max(...floats.map((value, index) => Math.abs(value - (values[index] ?? NaN))));
        expect(largest).toBeLessThan(source === "q4_0" ? 0.13 : 0.01);
        await weights.close();
      });
    }
  }

  test("reports how much it has read", async () => {
    const seen: number[][] = [];
    const requests = SOURCES.map((name) => ({ name, shape: [COLUMNS, ROWS], type: "f32" as const }));
    const weights = await loadWeights(backend, gguf, requests, {
      onProgress: (...progress) => seen.push(progress),
    });
    const total = SOURCES.reduce((sum, name) => sum + gguf.requireTensor(name).bytes, 0);
    expect(seen.at(-1)).toEqual([total, total]);
    await weights.close();
  });

  test("names a tensor that is missing, or has another shape", async () => {
    const missing = loadWeights(backend, gguf, [{ name: "nobody", shape: [1], type: "f32" }]);
    await expect(missing).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("nobody"),
    });
    const other = loadWeights(backend, gguf, [{ name: "f16", shape: [COLUMNS, ROWS + 1], type: "f32" }]);
    await expect(other).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining("[64, 5]"),
    });
  });

  test("stops when it is aborted", async () => {
    const requests = [{ name: "f32", shape: [COLUMNS, ROWS], type: "f16" as const }];
    const aborted = loadWeights(backend, gguf, requests, { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  });

  test("says so when the file has become shorter", async () => {
    const file = path.join(folder, "short.gguf");
    const tensors = [
      { name: "w", type: "f32" as const, shape: [COLUMNS, ROWS], data: quantize("f32", values) },
    ];
    await writeGguf(file, { metadata: {}, tensors });
    const complete = await readGguf(file);
    await writeGguf(file, { metadata: {}, tensors: [] });
    const short = loadWeights(backend, complete, [{ name: "w", shape: [COLUMNS, ROWS], type: "f32" }]);
    await expect(short).rejects.toMatchObject({ code: "invalid_model" });
  });
});
