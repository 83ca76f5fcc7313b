import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeQwenInFloat64, type PlainWeights } from "../../test/support/qwen-in-float64.ts";
import {
  type QwenProjectorShape,
  type QwenType,
  TINY_QWEN,
  TINY_QWENS,
  writeQwenProjector,
} from "../../test/support/tiny-qwen.ts";
import { dequantize } from "../gguf/dequantize.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-qwen-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

const TYPES = Object.keys(TINY_QWENS) as QwenType[];

let files = 0;
async function write(shape: Partial<QwenProjectorShape> & { type: QwenType }): Promise<Gguf> {
  const file = path.join(folder, `${files++}.gguf`);
  await writeQwenProjector(file, shape);
  return readGguf(file);
}

async function readWeights(gguf: Gguf): Promise<PlainWeights> {
  const weights = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const info of gguf.tensors.values()) {
    weights.set(info.name, { shape: info.shape, values: dequantize(info.type, await gguf.readTensor(info)) });
  }
  return weights;
}

function drawPicture(width: number, height: number, seed = 1): RgbImage {
  const data = new Uint8Array(width * height * 3); // (height, width, 3) uint8
  for (let index = 0; index < data.length; index++) {
    const x = Math.floor(index / 3) % width;
    data[index] = (index * 89 + ((index * x) % 31) * 5 * seed + 40 * Math.sin(x * seed)) & 255;
  }
  return { width, height, data };
}

function smallestCosine(expected: readonly (readonly number[])[], actual: Float32Array): number {
  return Math.min(
    ...expected.map((row, y) => {
      let [product, a, b] = [0, 0, 0];
      for (const [x, value] of row.entries()) {
        const other = actual[y * row.length + x] ?? Number.NaN;
        product += value * other;
        a += value * value;
        b += other * other;
      }
      return product / Math.sqrt(a * b);
    }),
  );
}

async function compare(
  gguf: Gguf,
  encoder: ImageEncoder,
  picture: RgbImage,
  shape: QwenProjectorShape,
): Promise<number> {
  const preprocessed = encoder.preprocess(picture);
  const rows = await encoder.encode(preprocessed);
  const [tile = new Float32Array()] = preprocessed.tiles;
  const expected = encodeQwenInFloat64(await readWeights(gguf), tile, preprocessed.seen, shape);
  expect(rows).toHaveLength(expected.length * encoder.embeddingLength);
  expect(expected).toHaveLength(rowsOf(encoder.layout(picture.width, picture.height)));
  return smallestCosine(expected, rows);
}

describe("the encoder against float64", () => {
  for (const type of TYPES) {
    const shape = { ...TINY_QWEN, ...TINY_QWENS[type], type };
    for (const [width, height] of [
      [128, 96],
      // Windows of 3 x 3 rows: two and a rest across, one and a rest down.
      [112, 80],
      [37, 113],
      [16, 200],
    ] as const) {
      test(`${type}, ${width} x ${height} pixels`, async () => {
        const gguf = await write(shape);
        const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
        expect(await compare(gguf, encoder, drawPicture(width, height), shape)).toBeGreaterThanOrEqual(
          0.99999,
        );
        await encoder.close();
      });
    }
  }

  test("of Qwen2-VL's first converter, which exchanged names", async () => {
    const shape = { ...TINY_QWEN, legacy: true };
    const gguf = await write(shape);
    const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
    expect(await compare(gguf, encoder, drawPicture(80, 64), shape)).toBeGreaterThanOrEqual(0.99999);
    await encoder.close();
  });

  test("with the window that files without its size have", async () => {
    const shape: QwenProjectorShape = {
      ...TINY_QWEN,
      type: "qwen2.5vl_merger",
      windowSize: undefined,
      wholePattern: 4,
    };
    const gguf = await write(shape);
    expect(gguf.number("clip.vision.window_size")).toBeUndefined();
    const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
    expect(await compare(gguf, encoder, drawPicture(144, 128), shape)).toBeGreaterThanOrEqual(0.99999);
    await encoder.close();
  });

  test("of Qwen3.5, which has no deepstack", async () => {
    const shape: QwenProjectorShape = {
      ...TINY_QWEN,
      ...TINY_QWENS["qwen3vl_merger"],
      type: "qwen3vl_merger",
      deepstack: [],
    };
    const gguf = await write(shape);
    const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
    expect(encoder.embeddingLength).toBe(64);
    expect(await compare(gguf, encoder, drawPicture(64, 48), shape)).toBeGreaterThanOrEqual(0.99999);
    await encoder.close();
  });

  for (const precision of ["f16", "bf16", "q8_0"] as const) {
    test(`re-quantised to ${precision}`, async () => {
      const shape: QwenProjectorShape = {
        ...TINY_QWEN,
        ...TINY_QWENS["qwen3vl_merger"],
        type: "qwen3vl_merger",
        feedForward: 128,
      };
      const gguf = await write(shape);
      const encoder = await openImageEncoder(gguf, backend, { precision });
      expect(encoder.precision).toBe(precision);
      const cosine = await compare(gguf, encoder, drawPicture(96, 64), shape);
      expect(cosine).toBeGreaterThanOrEqual(precision === "q8_0" ? 0.998 : 0.9999);
      expect(cosine).toBeLessThan(1 - 1e-9);
      await encoder.close();
    });
  }
});

describe("pictures of any size", () => {
  for (const type of TYPES) {
    test(`${type}: as many rows come out as the layout says, of every size`, async () => {
      const gguf = await write({ type, minPixels: 16 * 16, maxPixels: 64 * 16 * 16 });
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
      for (const [width, height] of [
        [1, 1],
        [1, 4000],
        [4000, 1],
        [37, 113],
        [336, 336],
        [640, 480],
        [1920, 1080],
        [8000, 6000],
      ] as const) {
        for (const limit of [undefined, 20, 1]) {
          const rows = rowsOf(encoder.layout(width, height, limit));
          expect(rows).toBeLessThanOrEqual(limit ?? 64);
          const preprocessed = encoder.preprocess(plain(width, height), limit);
          const encoded = await encoder.encode(preprocessed);
          expect(encoded).toHaveLength(rows * encoder.embeddingLength);
          expect(encoded.every(Number.isFinite)).toBe(true);
        }
      }
      await encoder.close();
    });

    test(`${type}: pictures at the same time do not mix`, async () => {
      const gguf = await write({ type });
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
      const pictures = [
        drawPicture(64, 48),
        drawPicture(48, 64, 2),
        drawPicture(64, 48, 3),
        drawPicture(64, 64, 4),
      ];
      const alone: Float32Array[] = [];
      for (const picture of pictures) alone.push(await encoder.encode(encoder.preprocess(picture)));
      const together = await Promise.all(
        pictures.map(async (picture) => encoder.encode(encoder.preprocess(picture))),
      );
      expect(together).toEqual(alone);
      const aborted = encoder.encode(encoder.preprocess(pictures[0] as RgbImage), AbortSignal.abort());
      await expect(aborted).rejects.toMatchObject({ code: "aborted" });
      expect(await encoder.encode(encoder.preprocess(pictures[0] as RgbImage))).toEqual(alone[0]);
      await encoder.close();
    });
  }

  test("the receipt says what was seen", async () => {
    const encoder = await openImageEncoder(await write({ type: "qwen2vl_merger" }), backend);
    expect(encoder.preprocess(drawPicture(128, 96)).steps).toEqual([]);
    const { seen, steps } = encoder.preprocess(drawPicture(100, 90));
    expect(seen).toEqual({ width: 96, height: 96 });
    expect(steps).toEqual([{ action: "resized", ...seen, filter: "bicubic, antialiased" }]);
    await encoder.close();
  });
});

describe("a header that contradicts itself", () => {
  for (const [name, change] of Object.entries({
    "heads that do not divide the rows": { heads: 5 },
    "heads too narrow to turn": { heads: 16 },
    "more pixels than any memory holds": { maxPixels: 2 ** 31 },
    "windows smaller than a row": { type: "qwen2.5vl_merger", windowSize: 8 },
    "no pattern of windows": { type: "qwen2.5vl_merger", wholePattern: 0 },
  } satisfies Record<string, Partial<QwenProjectorShape>>)) {
    test(`is refused: ${name}`, async () => {
      const opened = openImageEncoder(await write({ type: "qwen2vl_merger", ...change }), backend);
      await expect(opened).rejects.toMatchObject({ code: "invalid_model" });
    });
  }
});

function plain(width: number, height: number): RgbImage {
  return { width, height, data: new Uint8Array(width * height * 3).fill(90) };
}
