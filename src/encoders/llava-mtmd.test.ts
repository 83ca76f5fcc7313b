import { mkdtemp, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MTMD_CASES, mtmdPicture } from "../../bench/mtmd-llava-cases.ts";
import { TINY_PROJECTOR, writeRandomProjector } from "../../bench/random-projector.ts";
import { encodeInFloat64, readWeights, smallestCosine } from "../../test/support/reference-llava.ts";
import { readGguf } from "../gguf/read.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";

const { cases } = JSON.parse(readFileSync(new URL("fixtures/mtmd-llava.json", import.meta.url), "utf8")) as {
  cases: Record<string, { rows: number; samples: number[] }>;
};

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-mtmd-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

/** Of every row three values, as bench/make-mtmd-llava.ts takes them. */
function samplesOf(rows: Float32Array, width: number): number[] {
  return Array.from({ length: (rows.length / width) * 3 }, (_, place) => {
    const [row, index] = [Math.floor(place / 3), place % 3];
    return rows[row * width + ((row * 7 + index * 23) % width)] ?? NaN;
  });
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, index) => sum + value * (y[index] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe("rows with compat llama.cpp are those of mtmd", () => {
  for (const { name, shape, picture } of MTMD_CASES) {
    test(`of ${name}`, async () => {
      const file = path.join(folder, `${name}.gguf`);
      await writeRandomProjector(file, shape);
      const gguf = await readGguf(file);
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32", compat: "llama.cpp" });
      const preprocessed = encoder.preprocess({ ...picture, data: mtmdPicture(picture) });
      const rows = await encoder.encode(preprocessed);
      await encoder.close();
      const expected = cases[name] ?? { rows: 0, samples: [] };
      const width = encoder.embeddingLength;
      expect(rows).toHaveLength(expected.rows * width);
      expect(rowsOf(encoder.layout(picture.width, picture.height))).toBe(expected.rows);
      const samples = samplesOf(rows, width);
      expect(cosine(samples, expected.samples)).toBeGreaterThanOrEqual(0.9999);
      // mtmd's activations come from half-precision tables.
      for (const [index, value] of expected.samples.entries()) {
        expect(Math.abs((samples[index] ?? NaN) - value)).toBeLessThan(0.02);
      }
    });
  }

  test("and not those of the model's own code, where mtmd deviates", async () => {
    for (const name of ["class token", "tiles"]) {
      const { shape = {}, picture = { width: 1, height: 1 } } =
        MTMD_CASES.find((one) => one.name === name) ?? {};
      const file = path.join(folder, `own ${name}.gguf`);
      await writeRandomProjector(file, shape);
      const encoder = await openImageEncoder(await readGguf(file), backend, { precision: "f32" });
      const rows = await encoder.encode(encoder.preprocess({ ...picture, data: mtmdPicture(picture) }));
      await encoder.close();
      const expected = (cases[name]?.samples ?? []).slice(0, 48);
      expect(expected).toHaveLength(48);
      expect(cosine(samplesOf(rows, encoder.embeddingLength).slice(0, 48), expected)).toBeLessThan(0.9);
    }
  });
});

describe("compat llama.cpp", () => {
  test("puts the class token last and leaves a block out, as float64 says", async () => {
    const shape = { ...TINY_PROJECTOR, classToken: true, blocks: 3, postNorm: true };
    const file = path.join(folder, "float64.gguf");
    await writeRandomProjector(file, shape);
    const gguf = await readGguf(file);
    const encoder = await openImageEncoder(gguf, backend, { precision: "f32", compat: "llama.cpp" });
    const preprocessed = encoder.preprocess({ width: 50, height: 40, data: new Uint8Array(6000).fill(90) });
    const rows = await encoder.encode(preprocessed);
    await encoder.close();
    const expected = encodeInFloat64(await readWeights(gguf), preprocessed.tiles[0] ?? new Float32Array(), {
      shape,
      activation: "quick_gelu",
      projectorGelu: "gelu",
      blocks: 2,
      postNorm: true,
      classTokenLast: true,
    });
    expect(smallestCosine(expected, rows)).toBeGreaterThanOrEqual(0.9999);
  });

  test("is refused for what llama.cpp does not run", async () => {
    const file = path.join(folder, "linear.gguf");
    await writeRandomProjector(file, { projector: "linear" });
    const opening = openImageEncoder(await readGguf(file), backend, { compat: "llama.cpp" });
    await expect(opening).rejects.toMatchObject({ code: "invalid_argument" });
  });
});
