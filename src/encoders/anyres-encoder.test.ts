import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ProjectorShape, TINY_PROJECTOR, writeRandomProjector } from "../../bench/random-projector.ts";
import {
  type Rows,
  encodeInFloat64,
  readWeights,
  smallestCosine,
} from "../../test/support/reference-llava.ts";
import type { Gguf } from "../gguf/gguf.ts";
import { readGguf } from "../gguf/read.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { Backend } from "../native/backend.ts";
import { loadLibraries } from "../native/libraries.ts";
import { openImageEncoder } from "./open-image-encoder.ts";
import { rowsOf } from "./picture-layout.ts";

let folder: string;
let backend: Backend;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "mull-anyres-"));
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => {
  await backend.close();
  await rm(folder, { recursive: true });
});

/** LLaVA 1.6's resolutions for tiles of 32 pixels. */
const PINPOINTS = [32, 64, 64, 32, 64, 64, 96, 32, 32, 96];
const NEXT = { pinpoints: PINPOINTS, mergeType: "spatial_unpad", newline: "model.image_newline" } as const;

async function write(shape: Partial<ProjectorShape>): Promise<Gguf> {
  const file = path.join(folder, `${Math.random()}.gguf`);
  await writeRandomProjector(file, shape);
  return readGguf(file);
}

function draw(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let index = 0; index < data.length; index++) data[index] = (index * 89 + (index % 31) * 5) % 256;
  return { width, height, data };
}

/** LLaVA's merge, written as its tensors are moved: columns of rows over all tiles, cut, a newline behind each line. */
function mergeAsLlava(
  tiles: readonly Rows[],
  [across, down]: readonly [number, number],
  original: { width: number; height: number },
  newline: readonly number[] | undefined,
): Rows {
  const [overview = [], ...grid] = tiles;
  const side = Math.sqrt(overview.length);
  let lines = Array.from({ length: down * side }, (_, y) =>
    Array.from({ length: across * side }, (__, x) => {
      const tile = grid[Math.floor(y / side) * across + Math.floor(x / side)];
      return tile?.[(y % side) * side + (x % side)] ?? [];
    }),
  );
  const [height, width] = [lines.length, lines[0]?.length ?? 0];
  if (original.width / original.height > width / height) {
    const padding = Math.floor((height - Math.trunc(original.height * (width / original.width))) / 2);
    lines = lines.slice(padding, height - padding);
  } else {
    const padding = Math.floor((width - Math.trunc(original.width * (height / original.height))) / 2);
    lines = lines.map((line) => line.slice(padding, width - padding));
  }
  const ended = lines.map((line) => (newline === undefined ? line : [...line, [...newline]]));
  return [...overview, ...ended.flat()];
}

const variants: { name: string; shape: Partial<ProjectorShape>; newline: boolean }[] = [
  { name: "class token", shape: { ...NEXT, classToken: true, blocks: 3, featureLayer: 2 }, newline: true },
  { name: "mtmd's name for the newline", shape: { ...NEXT, newline: "v.image_newline" }, newline: true },
  {
    name: "a newline and no merge type",
    shape: { pinpoints: PINPOINTS, newline: "model.image_newline", aspectRatio: "anyres" },
    newline: true,
  },
  {
    name: "no newline",
    shape: { pinpoints: PINPOINTS, mergeType: "spatial_unpad", classToken: true },
    newline: false,
  },
];

describe("LLaVA 1.6 against float64", () => {
  for (const { name, shape, newline } of variants) {
    for (const [width, height] of [
      [40, 30],
      [37, 113],
      [300, 80],
    ] as const) {
      test(`${name}, ${width} x ${height}`, async () => {
        const gguf = await write(shape);
        const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
        const preprocessed = encoder.preprocess(draw(width, height));
        const rows = await encoder.encode(preprocessed);
        const layout = rowsOf(encoder.layout(width, height));
        await encoder.close();
        const full = { ...TINY_PROJECTOR, ...shape };
        const weights = await readWeights(gguf);
        const tiles = preprocessed.tiles.map((tile) =>
          encodeInFloat64(weights, tile, {
            shape: full,
            activation: "quick_gelu",
            projectorGelu: "gelu_erf",
            postNorm: false,
            blocks: full.featureLayer ?? full.blocks,
          }),
        );
        const vector = weights.get(shape.newline ?? "")?.values;
        const grid = [preprocessed.seen.width / 32, preprocessed.seen.height / 32] as const;
        const expected = mergeAsLlava(
          tiles,
          grid,
          { width, height },
          newline ? [...(vector ?? [])] : undefined,
        );
        expect(rows).toHaveLength(expected.length * full.textEmbedding);
        expect(layout).toBe(expected.length);
        expect(smallestCosine(expected, rows)).toBeGreaterThanOrEqual(0.99999);
      });
    }
  }

  test("files without newline and merge type have one tile after the other", async () => {
    const encoder = await openImageEncoder(await write({ pinpoints: PINPOINTS }), backend, {
      precision: "f32",
    });
    const preprocessed = encoder.preprocess(draw(40, 30));
    const rows = await encoder.encode(preprocessed);
    const alone: number[] = [];
    for (const tile of preprocessed.tiles) {
      alone.push(...(await encoder.encode({ ...preprocessed, tiles: [tile] })));
    }
    await encoder.close();
    expect(rows).toHaveLength(alone.length);
    expect(Math.max(...alone.map((value, index) => Math.abs(value - (rows[index] ?? NaN))))).toBeLessThan(
      1e-4,
    );
  });

  test("tiles that would be too many at once are computed in several runs", async () => {
    // 1024 patches a tile, of which four go at once.
    const gguf = await write({
      imageSize: 128,
      patchSize: 4,
      blocks: 1,
      classToken: true,
      pinpoints: [256, 256],
      mergeType: "flat",
    });
    const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
    const preprocessed = encoder.preprocess(draw(200, 200));
    expect(preprocessed.tiles).toHaveLength(5);
    const rows = await encoder.encode(preprocessed);
    const last = await encoder.encode({ ...preprocessed, tiles: preprocessed.tiles.slice(4) });
    await encoder.close();
    const tail = rows.subarray(4 * last.length);
    expect(tail).toHaveLength(last.length);
    expect(Math.max(...last.map((value, index) => Math.abs(value - (tail[index] ?? NaN))))).toBeLessThan(
      1e-4,
    );
  });
});

describe("every size of picture", () => {
  const sizes = [
    [1, 1],
    [1, 4000],
    [4000, 1],
    [37, 113],
    [336, 336],
    [640, 480],
    [1920, 1080],
    [8000, 6000],
  ] as const;
  const shapes: [string, Partial<ProjectorShape>][] = [
    ["LLaVA 1.6", { ...NEXT, classToken: true }],
    ["LLaVA 1.0", { projector: "linear" }],
    ["MobileVLM V2", { projector: "ldpv2" }],
  ];
  for (const [name, shape] of shapes) {
    for (const compat of ["llama.cpp", undefined] as const) {
      if (compat !== undefined && shape.projector === "linear") continue;
      test(`${name}${compat === undefined ? "" : " as llama.cpp"} gives the rows that the layout tells`, async () => {
        const encoder = await openImageEncoder(await write(shape), backend, {
          precision: "f32",
          ...(compat === undefined ? {} : { compat }),
        });
        for (const [width, height] of sizes) {
          // The largest takes seconds, and once is enough.
          if (width === 8000 && compat !== undefined) continue;
          const image = { width, height, data: new Uint8Array(width * height * 3).fill(100) };
          for (const limit of width * height > 1e6 ? [undefined] : [undefined, 1, 30, 50]) {
            const rows = await encoder.encode(encoder.preprocess(image, limit));
            expect(rows.length / 64).toBe(rowsOf(encoder.layout(width, height, limit)));
            expect(rows.every(Number.isFinite)).toBe(true);
          }
        }
        await encoder.close();
      });
    }
  }
});
