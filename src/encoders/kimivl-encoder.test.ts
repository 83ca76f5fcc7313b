import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drawnPicture, plainImage } from "../../test/support/drawn-picture.ts";
import { PlainWeights, smallestCosine } from "../../test/support/float64-rows.ts";
import { encodeKimiVlInFloat64 } from "../../test/support/kimivl-in-float64.ts";
import { type KimiVlShape, TINY_KIMIVL, writeKimiVlProjector } from "../../test/support/tiny-kimivl.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { kimiVlGrid } from "./kimivl-preprocess.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-kimivl-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

const SHAPES = { "Kimi-VL": { ...TINY_KIMIVL, maxPixels: 128 * 128 } };

let files = 0;
async function write(shape: Partial<KimiVlShape>): Promise<Gguf> {
  const file = path.join(folder, `${files++}.gguf`);
  await writeKimiVlProjector(file, shape);
  const gguf = await readGguf(file);
  validateProjector(gguf);
  return gguf;
}

async function compare(
  gguf: Gguf,
  encoder: ImageEncoder,
  picture: RgbImage,
  shape: KimiVlShape,
): Promise<number> {
  const preprocessed = encoder.preprocess(picture);
  const rows = await encoder.encode(preprocessed);
  const [tile = new Float32Array()] = preprocessed.tiles;
  const weights = await PlainWeights.read(gguf);
  const expected = encodeKimiVlInFloat64(weights, tile, preprocessed.seen, shape);
  expect(rows).toHaveLength(expected.length * encoder.embeddingLength);
  expect(expected).toHaveLength(rowsOf(encoder.layout(picture.width, picture.height)));
  return smallestCosine(expected, rows);
}

describe("the encoder against float64", () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    for (const [width, height] of [
      // As many patches as learned positions.
      [64, 64],
      [128, 96],
      [112, 80],
      [37, 113],
      // One line, one column.
      [100, 7],
      [7, 100],
      [600, 400],
    ] as const) {
      test(`${name}, ${width} x ${height} pixels`, async () => {
        const gguf = await write(shape);
        const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
        const cosine = await compare(gguf, encoder, drawnPicture(width, height), shape);
        expect(cosine).toBeGreaterThanOrEqual(0.99999);
        await encoder.close();
      });
    }
  }

  for (const precision of ["f16", "bf16", "q8_0"] as const) {
    test(`re-quantised to ${precision}`, async () => {
      const gguf = await write(TINY_KIMIVL);
      const encoder = await openImageEncoder(gguf, backend, { precision });
      const cosine = await compare(gguf, encoder, drawnPicture(96, 64), TINY_KIMIVL);
      expect(encoder.precision).toBe(precision);
      expect(cosine).toBeGreaterThanOrEqual(precision === "f16" ? 0.9999 : 0.997);
      expect(cosine).toBeLessThan(1 - 1e-9);
      await encoder.close();
    });
  }
});

describe("pictures of any size", () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    test(`${name}: as many rows come out as the layout says`, async () => {
      const encoder = await openImageEncoder(await write(shape), backend, {
        precision: "f32",
      });
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
        for (const limit of width * height > 2 ** 22 ? [undefined] : [undefined, 20, 1]) {
          const rows = rowsOf(encoder.layout(width, height, limit));
          expect(rows).toBeLessThanOrEqual(limit ?? 255);
          const preprocessed = encoder.preprocess(plainImage(width, height), limit);
          const encoded = await encoder.encode(preprocessed);
          expect(encoded).toHaveLength(rows * encoder.embeddingLength);
          expect(encoded.every(Number.isFinite)).toBe(true);
        }
      }
      await encoder.close();
    });
  }

  test("pictures at the same time do not mix", async () => {
    const encoder = await openImageEncoder(await write(TINY_KIMIVL), backend, { precision: "f32" });
    const pictures = [drawnPicture(64, 48), drawnPicture(48, 64, 2), drawnPicture(64, 48, 3)];
    const encode = async (picture: RgbImage): Promise<Float32Array> =>
      encoder.encode(encoder.preprocess(picture));
    const alone: Float32Array[] = [];
    for (const picture of pictures) alone.push(await encode(picture));
    expect(await Promise.all(pictures.map(encode))).toEqual(alone);
    const aborted = encoder.encode(encoder.preprocess(drawnPicture(64, 48)), AbortSignal.abort());
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    expect(await encode(drawnPicture(64, 48))).toEqual(alone[0]);
    await encoder.close();
  });

  test("the receipt says what was seen", async () => {
    const encoder = await openImageEncoder(await write(TINY_KIMIVL), backend, { precision: "f32" });
    expect(encoder.preprocess(drawnPicture(128, 96)).steps).toEqual([]);
    const { seen, steps } = encoder.preprocess(drawnPicture(100, 90));
    expect(seen).toEqual({ width: 112, height: 96 });
    expect(steps).toEqual([{ action: "padded", ...seen, colour: [0, 0, 0] }]);
    expect(encoder.preprocess(drawnPicture(100, 90), 12).steps).toEqual([
      { action: "resized", width: 54, height: 48, filter: "bicubic, antialiased" },
      { action: "padded", width: 64, height: 48, colour: [0, 0, 0] },
    ]);
    expect(encoder.layout(100, 90)).toEqual([
      { text: "<|media_start|>image<|media_content|>" },
      { rows: 6 * 7 },
      { text: "<|media_end|>" },
    ]);
    await encoder.close();
  });
});

// Sizes that KimiVLImageProcessor.rescale gives with pad_input.
describe("the grid of a picture", () => {
  const kimi = { patchSize: 14, factor: 28, mostPatches: 4096 };
  test.each([
    [1, 1, 1, 1],
    [37, 113, 5, 2],
    [336, 336, 12, 12],
    [640, 480, 18, 23],
    [1920, 1080, 24, 43],
    [8000, 6000, 28, 37],
    [1, 4000, 143, 1],
    // Its own code refuses this one.
    [1, 9000, 255, 1],
  ])("%i x %i pixels are %i lines of %i", (width, height, rows, columns) => {
    expect(kimiVlGrid({ width, height }, kimi)).toEqual({ rows, columns });
  });

  test("is as large as a limit of rows allows", () => {
    for (let limit = 1; limit < 400; limit += 7) {
      const { rows, columns } = kimiVlGrid({ width: 640, height: 480 }, kimi, limit);
      expect(rows * columns).toBeLessThanOrEqual(limit);
      expect(rows * columns).toBeGreaterThan(limit * 0.6 - 4);
    }
  });
});

describe("a header that contradicts itself", () => {
  for (const [name, change] of Object.entries({
    "heads that do not divide the rows": { heads: 5 },
    "heads too narrow to turn": { heads: 16 },
    "more pixels than any memory holds": { maxPixels: 2 ** 31 },
  } satisfies Record<string, Partial<KimiVlShape>>)) {
    test(`is refused: ${name}`, async () => {
      const opened = openImageEncoder(await write(change), backend);
      await expect(opened).rejects.toMatchObject({ code: "invalid_model" });
    });
  }
});
