import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type ProjectorShape, writeRandomProjector } from "../../bench/random-projector.ts";
import { temporaryFolder } from "../../test/support/tiny-models.ts";
import { openImageEncoder } from "../encoders/open-image-encoder.ts";
import { readGguf } from "../gguf/read.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { quantizeModel } from "./quantize-model.ts";

const folder = temporaryFolder();
const pico = fileURLToPath(new URL("../../models/pico/pico-mmproj.gguf", import.meta.url));

/** Stripes and colours: (side, side, 3) uint8. */
function picture(side: number): RgbImage {
  const data = Uint8Array.from(
    { length: side * side * 3 },
    (_, index) => (index * 37 + (index >> 7) * 11) % 256,
  );
  return { width: side, height: side, data };
}

/** (rows, width) float32 */
async function encode(path: string): Promise<{ rows: Float32Array; width: number }> {
  const backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 1 });
  const encoder = await openImageEncoder(await readGguf(path), backend, { precision: "f32" });
  try {
    const rows = await encoder.encode(encoder.preprocess(picture(encoder.imageSize)));
    return { rows, width: encoder.embeddingLength };
  } finally {
    await encoder.close();
    await backend.close();
  }
}

function smallestCosine(expected: Float32Array, actual: Float32Array, width: number): number {
  expect(actual.length).toBe(expected.length);
  let smallest = 1;
  for (let start = 0; start < expected.length; start += width) {
    let [product, left, right] = [0, 0, 0];
    for (let index = start; index < start + width; index++) {
      const [a, b] = [expected[index] as number, actual[index] as number];
      product += a * b;
      left += a * a;
      right += b * b;
    }
    smallest = Math.min(smallest, product / Math.sqrt(left * right));
  }
  return smallest;
}

async function tiny(name: string, shape: Partial<ProjectorShape> = {}): Promise<string> {
  const path = join(folder.path, `${name}.gguf`);
  await writeRandomProjector(path, shape);
  return path;
}

describe("quantizeModel of a projector", () => {
  it.each([
    ["a tiny one", "q8_0", 0.998],
    ["a tiny one", "f16", 0.99999],
    ["a tiny one", "bf16", 0.9999],
    ["pico's", "q8_0", 0.998],
  ])("%s keeps what it sees as %s", async (name, type, least) => {
    const input = name === "pico's" ? pico : await tiny(`for-${type}`);
    const output = join(folder.path, `${name}-${type}.gguf`);
    const progress: number[] = [];
    const before = await readGguf(input);
    const { bytes } = await quantizeModel({
      input,
      output,
      type,
      projector: true,
      onProgress: (completed, total) => progress.push(completed / total),
    });
    const after = await readGguf(output);
    expect(bytes).toBe(after.fileBytes);
    expect(after.fileBytes).toBeLessThan(before.fileBytes);
    expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
    expect(after.requireTensor("v.blk.0.ffn_up.weight").type).toBe(type);
    expect(after.requireTensor("mm.0.weight").type).toBe(type);
    for (const kept of ["v.patch_embd.weight", "v.position_embd.weight", "v.blk.0.ln1.weight", "mm.0.bias"]) {
      const [from, to] = [before.requireTensor(kept), after.requireTensor(kept)];
      expect(to.type).toBe(from.type);
      expect(await after.readTensor(to)).toEqual(await before.readTensor(from));
    }
    expect(progress[0]).toBe(0);
    expect(progress.at(-1)).toBe(1);
    const expected = await encode(input);
    const actual = await encode(output);
    expect(smallestCosine(expected.rows, actual.rows, expected.width)).toBeGreaterThanOrEqual(least);
  });

  it("keeps matrices whose rows are no whole blocks", async () => {
    const input = await tiny("odd", { feedForward: 80 });
    const output = join(folder.path, "odd-q8_0.gguf");
    await quantizeModel({ input, output, type: "Q8_0", projector: true });
    const { tensors } = await readGguf(output);
    expect(tensors.get("v.blk.0.ffn_down.weight")?.type).toBe("f32");
    expect(tensors.get("v.blk.0.ffn_up.weight")?.type).toBe("q8_0");
    await encode(output);
  });

  it("quantises what is quantised only when it is told to", async () => {
    const input = await tiny("twice");
    const once = join(folder.path, "once.gguf");
    await quantizeModel({ input, output: once, type: "q8_0", projector: true });
    const options = { input: once, output: join(folder.path, "again.gguf"), type: "f16", projector: true };
    await expect(quantizeModel(options)).rejects.toMatchObject({ code: "invalid_argument" });
    expect(existsSync(options.output)).toBe(false);
    await quantizeModel({ ...options, allowRequantize: true });
    expect((await readGguf(options.output)).requireTensor("mm.0.weight").type).toBe("f16");
  });

  it("refuses types with which it would see too little, and text models", async () => {
    const input = await tiny("refused");
    const output = join(folder.path, "never.gguf");
    await expect(quantizeModel({ input, output, type: "q4_K_M", projector: true })).rejects.toMatchObject({
      code: "invalid_argument",
      hint: expect.stringMatching(/q8_0, f16, bf16/),
    });
    await expect(quantizeModel({ input, output, type: "q4_K_M" })).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/projector/),
    });
    const abort = { signal: AbortSignal.abort() };
    await expect(
      quantizeModel({ input, output, type: "q8_0", projector: true, ...abort }),
    ).rejects.toMatchObject({ name: "AbortError" });
    expect(existsSync(output)).toBe(false);
  });
});
