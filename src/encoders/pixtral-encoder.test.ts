import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drawnPicture, plainImage } from "../../test/support/drawn-picture.ts";
import { PlainWeights, smallestCosine } from "../../test/support/float64-rows.ts";
import { encodePixtralInFloat64 } from "../../test/support/pixtral-in-float64.ts";
import {
  type PixtralShape,
  TINY_MISTRAL3,
  TINY_PIXTRAL,
  writePixtralProjector,
} from "../../test/support/tiny-pixtral.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";
import { pixtralGrid, pixtralRows } from "./pixtral-preprocess.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-pixtral-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});

afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

const SHAPES = { "Pixtral 12B": TINY_PIXTRAL, "Mistral Small 3.1": TINY_MISTRAL3 };

let files = 0;
async function write(shape: Partial<PixtralShape>): Promise<Gguf> {
  const file = path.join(folder, `${files++}.gguf`);
  await writePixtralProjector(file, shape);
  const gguf = await readGguf(file);
  validateProjector(gguf);
  return gguf;
}

async function compare(
  gguf: Gguf,
  encoder: ImageEncoder,
  picture: RgbImage,
  shape: PixtralShape,
): Promise<number> {
  const preprocessed = encoder.preprocess(picture);
  const rows = await encoder.encode(preprocessed);
  const [tile = new Float32Array()] = preprocessed.tiles;
  const weights = await PlainWeights.read(gguf);
  const expected = encodePixtralInFloat64(weights, tile, preprocessed.seen, shape);
  expect(rows).toHaveLength(expected.length * encoder.embeddingLength);
  expect(expected).toHaveLength(rowsOf(encoder.layout(picture.width, picture.height)));
  return smallestCosine(expected, rows);
}

describe("the encoder against float64", () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    for (const [width, height] of [
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

  for (const change of [{ activation: "gelu" }, { ropeBase: 500 }, { heads: 4 }] as const) {
    test(`with ${JSON.stringify(change)}`, async () => {
      const shape: PixtralShape = { ...TINY_PIXTRAL, ...change };
      const gguf = await write(shape);
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
      expect(await compare(gguf, encoder, drawnPicture(80, 64), shape)).toBeGreaterThanOrEqual(0.99999);
      await encoder.close();
    });
  }

  for (const precision of ["f16", "bf16", "q8_0"] as const) {
    test(`re-quantised to ${precision}`, async () => {
      const gguf = await write(TINY_MISTRAL3);
      const encoder = await openImageEncoder(gguf, backend, { precision });
      const cosine = await compare(gguf, encoder, drawnPicture(96, 64), TINY_MISTRAL3);
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
      const encoder = await openImageEncoder(await write(shape), backend, { precision: "f32" });
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
          expect(rows).toBeLessThanOrEqual(limit ?? 16 * 17);
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
    const encoder = await openImageEncoder(await write(TINY_MISTRAL3), backend, { precision: "f32" });
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
    const encoder = await openImageEncoder(await write(TINY_MISTRAL3), backend, { precision: "f32" });
    expect(encoder.preprocess(drawnPicture(128, 96)).steps).toEqual([]);
    const { seen, steps } = encoder.preprocess(drawnPicture(100, 90));
    expect(seen).toEqual({ width: 112, height: 96 });
    expect(steps).toEqual([{ action: "resized", ...seen, filter: "bicubic, antialiased" }]);
    expect(encoder.layout(100, 90)).toEqual([{ rows: 6 * 8 - 1 }, { text: "[IMG_END]" }]);
    await encoder.close();
  });
});

// Sizes that transformers' get_resize_output_image_size gives.
describe("the grid of a picture", () => {
  const pixtral = { longestEdge: 1024, factor: 16 };
  const mistral = { longestEdge: 1540, factor: 28 };
  test.each([
    [pixtral, 640, 480, 30, 40],
    [pixtral, 1024, 1024, 64, 64],
    [pixtral, 1920, 1080, 36, 64],
    [pixtral, 8000, 6000, 48, 64],
    [pixtral, 37, 113, 8, 3],
    [pixtral, 1, 4000, 64, 1],
    [mistral, 640, 480, 18, 23],
    [mistral, 1920, 1080, 31, 55],
    [mistral, 8000, 6000, 42, 55],
    [mistral, 1, 1, 1, 1],
  ])("%o: %i x %i pixels are %i lines of %i", (config, width, height, rows, columns) => {
    expect(pixtralGrid({ width, height }, config)).toEqual({ rows, columns });
  });

  test("is as large as a limit of rows allows", () => {
    for (let limit = 1; limit < 400; limit += 7) {
      const grid = pixtralGrid({ width: 640, height: 480 }, pixtral, limit);
      expect(pixtralRows(grid)).toBeLessThanOrEqual(limit);
      expect(pixtralRows(grid)).toBeGreaterThan(limit * 0.6 - 4);
    }
  });
});

describe("a header that contradicts itself", () => {
  for (const [name, change] of Object.entries({
    "heads that do not divide the rows": { heads: 5 },
    "heads too narrow to turn": { heads: 16 },
    "pictures smaller than a patch": { imageSize: 4 },
    "more patches than any memory holds": { imageSize: 8192, patchSize: 1 },
  } satisfies Record<string, Partial<PixtralShape>>)) {
    test(`is refused: ${name}`, async () => {
      const opened = openImageEncoder(await write(change), backend);
      await expect(opened).rejects.toMatchObject({ code: "invalid_model" });
    });
  }
});
