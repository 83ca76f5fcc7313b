import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drawnPicture, plainImage } from "../../test/support/drawn-picture.ts";
import { PlainWeights, smallestCosine } from "../../test/support/float64-rows.ts";
import { encodeInternVlInFloat64 } from "../../test/support/internvl-in-float64.ts";
import {
  type InternVlShape,
  TINY_INTERNVL,
  writeInternVlProjector,
} from "../../test/support/tiny-internvl.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { estimateEncoder } from "./estimate-encoder.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { chooseTileGrid } from "./internvl-tiles.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-internvl-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

let files = 0;
async function write(shape: Partial<InternVlShape> = {}): Promise<Gguf> {
  const file = path.join(folder, `${files++}.gguf`);
  await writeInternVlProjector(file, shape);
  const gguf = await readGguf(file);
  validateProjector(gguf);
  return gguf;
}

async function compare(
  gguf: Gguf,
  encoder: ImageEncoder,
  picture: RgbImage,
  shape: InternVlShape,
): Promise<number> {
  const preprocessed = encoder.preprocess(picture);
  const rows = await encoder.encode(preprocessed);
  const weights = await PlainWeights.read(gguf);
  const expected = preprocessed.tiles.flatMap((tile) => encodeInternVlInFloat64(weights, tile, shape));
  expect(rows).toHaveLength(expected.length * encoder.embeddingLength);
  expect(expected).toHaveLength(rowsOf(encoder.layout(picture.width, picture.height)));
  return smallestCosine(expected, rows);
}

describe("the encoder against float64", () => {
  for (const [width, height] of [
    [32, 32],
    [96, 64],
    [37, 113],
    [300, 20],
  ] as const) {
    for (const large of [false, true]) {
      test(`${large ? "6B" : "300M"}, ${width} x ${height} pixels`, async () => {
        const shape: InternVlShape = { ...TINY_INTERNVL, large };
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
      const gguf = await write();
      const encoder = await openImageEncoder(gguf, backend, { precision });
      const cosine = await compare(gguf, encoder, drawnPicture(96, 64), TINY_INTERNVL);
      expect(encoder.precision).toBe(precision);
      expect(cosine).toBeGreaterThanOrEqual(precision === "f16" ? 0.9999 : 0.997);
      expect(cosine).toBeLessThan(1 - 1e-9);
      await encoder.close();
    });
  }
});

describe("pictures of any size", () => {
  test("as many rows come out as the layout says", async () => {
    const encoder = await openImageEncoder(await write(), backend, { precision: "f32" });
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
        expect(rows).toBeLessThanOrEqual(limit === undefined ? 13 * 4 : Math.max(limit, 4));
        const preprocessed = encoder.preprocess(plainImage(width, height), limit);
        const encoded = await encoder.encode(preprocessed);
        expect(encoded).toHaveLength(rows * encoder.embeddingLength);
        expect(encoded.every(Number.isFinite)).toBe(true);
      }
    }
    await encoder.close();
  });

  test("tiles computed together are what each is alone; pictures at the same time do not mix", async () => {
    const encoder = await openImageEncoder(await write(), backend, { precision: "f32" });
    const pictures = [drawnPicture(96, 64), drawnPicture(32, 32, 2), drawnPicture(64, 64, 3)];
    const encode = async (picture: RgbImage): Promise<Float32Array> =>
      encoder.encode(encoder.preprocess(picture));
    const alone: Float32Array[] = [];
    for (const picture of pictures) alone.push(await encode(picture));
    expect(await Promise.all(pictures.map(encode))).toEqual(alone);
    const preprocessed = encoder.preprocess(pictures[0] as RgbImage);
    expect(preprocessed.tiles).toHaveLength(7);
    const tileLength = 4 * encoder.embeddingLength;
    for (const [index, tile] of preprocessed.tiles.entries()) {
      const single = await encoder.encode({ ...preprocessed, tiles: [tile] });
      const together = alone[0]?.slice(index * tileLength, (index + 1) * tileLength) ?? [];
      for (const [place, value] of single.entries()) expect(together[place]).toBeCloseTo(value, 4);
    }
    const aborted = encoder.encode(preprocessed, AbortSignal.abort());
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    expect(await encode(pictures[0] as RgbImage)).toEqual(alone[0]);
    await encoder.close();
  });

  test("the receipt says what was seen", async () => {
    const encoder = await openImageEncoder(await write(), backend, { precision: "f32" });
    expect(encoder.preprocess(drawnPicture(32, 32)).steps).toEqual([]);
    expect(encoder.layout(32, 32)).toEqual([
      { text: "<img>" },
      { rows: 4, grid: { rows: 2, columns: 2 } },
      { text: "</img>" },
    ]);
    const { seen, steps } = encoder.preprocess(drawnPicture(90, 70));
    expect(seen).toEqual({ width: 128, height: 96 });
    expect(steps).toEqual([
      { action: "resized", ...seen, filter: "bicubic, antialiased" },
      { action: "tiled", columns: 4, rows: 3, width: 32, height: 32, overview: true },
    ]);
    expect(encoder.layout(90, 70)).toEqual([{ text: "<img>" }, { rows: 13 * 4 }, { text: "</img>" }]);
    await encoder.close();
  });
});

// What find_closest_aspect_ratio of OpenGVLab/InternVL gives with image_size 448.
describe("the tiles of a picture", () => {
  const limits = { imageSize: 448, minTiles: 1, maxTiles: 12 };
  test.each([
    [1, 1, 1, 1],
    [1, 4000, 12, 1],
    [37, 113, 3, 1],
    [336, 336, 1, 1],
    [448, 448, 1, 1],
    [800, 800, 2, 2],
    [2000, 2000, 3, 3],
    [640, 480, 3, 4],
    [1920, 1080, 2, 4],
    [8000, 6000, 3, 4],
    [448, 896, 2, 1],
    [900, 1800, 4, 2],
  ])("%i x %i pixels are %i lines of %i", (width, height, rows, columns) => {
    expect(chooseTileGrid({ width, height }, limits)).toEqual({ rows, columns });
  });

  test("are within the limits", () => {
    for (const maxTiles of [1, 2, 6, 12, 24]) {
      for (let width = 1; width < 5000; width = Math.ceil(width * 1.7)) {
        for (let height = 1; height < 5000; height = Math.ceil(height * 1.7)) {
          for (const minTiles of [1, Math.ceil(maxTiles / 2)]) {
            const { rows, columns } = chooseTileGrid(
              { width, height },
              { imageSize: 448, minTiles, maxTiles },
            );
            expect(rows * columns).toBeLessThanOrEqual(maxTiles);
            expect(rows * columns).toBeGreaterThanOrEqual(minTiles);
          }
        }
      }
    }
  });
});

test("the estimate counts tiles that are computed together", async () => {
  const one = estimateEncoder(await write({ maxTiles: 1 }), "f32");
  const many = estimateEncoder(await write(), "f32");
  expect(many.weights).toBe(one.weights);
  expect(many.picture).toBeGreaterThan(5 * one.picture);
});

describe("a header that contradicts itself", () => {
  for (const [name, change] of Object.entries({
    "heads that do not divide the rows": { heads: 5 },
    "patches that do not divide the tile": { imageSize: 30 },
    "patches that cannot be merged": { imageSize: 24 },
    "more patches than any memory holds": { imageSize: 1024 },
    "at least more tiles than at most": { minTiles: 3, maxTiles: 2 },
    "more tiles than any context holds": { maxTiles: 1_000_000 },
  } satisfies Record<string, Partial<InternVlShape>>)) {
    test(`is refused: ${name}`, async () => {
      const opened = write(change).then(async (gguf) => openImageEncoder(gguf, backend));
      await expect(opened).rejects.toMatchObject({ code: "invalid_model" });
    });
  }
});
