import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { RgbImage } from "../media/rgb-image.ts";
import { AnyresView } from "./anyres-view.ts";
import type { ClipConfig } from "./clip-config.ts";
import { LlamaCppView } from "./llama-cpp-view.ts";
import { cropForClip } from "./llava-preprocess.ts";
import { rowsOf } from "./picture-layout.ts";

interface Fixture {
  side: number;
  pinpoints: [number, number][];
  cases: { width: number; height: number; best: [number, number]; anyres: string[]; clip: string }[];
}

const fixture = JSON.parse(
  readFileSync(new URL("fixtures/pillow-views.json", import.meta.url), "utf8"),
) as Fixture;
// With this mean and deviation a normalised value is the level itself.
const config = {
  imageSize: fixture.side,
  imageMean: [0, 0, 0],
  imageStd: [1 / 255, 1 / 255, 1 / 255],
} as unknown as ClipConfig;
const pinpoints = fixture.pinpoints.map(([width, height]) => ({ width, height }));
const input = { config, side: 4, embeddingLength: 2 };
const anyres = new AnyresView(input, { pinpoints, merge: "spatial_unpad", newline: new Float32Array(2) });

/** As in fixtures/make-pillow-views.py. */
function draw(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3); // (height, width, 3) uint8
  for (let index = 0; index < data.length; index++) {
    const channel = index % 3;
    const x = ((index - channel) / 3) % width;
    const y = Math.floor(index / 3 / width);
    data[index] = (x * 7 + y * 13 + channel * 50 + ((x * y) % 11) * 9) % 256;
  }
  return { width, height, data };
}

/** Planes back to (side, side, 3) uint8, and their digest. */
function digest(planes: Float32Array): string {
  const pixels = planes.length / 3;
  const bytes = Uint8Array.from({ length: planes.length }, (_, index) =>
    Math.round(planes[(index % 3) * pixels + Math.floor(index / 3)] ?? NaN),
  );
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

describe("what LLaVA sees", () => {
  for (const { width, height, best, anyres: tiles, clip } of fixture.cases) {
    test(`of ${width} x ${height} in tiles is what Pillow gives`, () => {
      const preprocessed = anyres.preprocess(draw(width, height));
      expect([preprocessed.seen.width, preprocessed.seen.height]).toEqual(best);
      expect(preprocessed.tiles.map(digest)).toEqual(tiles);
      expect(preprocessed.steps.at(-1)).toMatchObject({
        action: "tiled",
        columns: best[0] / fixture.side,
        rows: best[1] / fixture.side,
        overview: true,
      });
    });

    test(`of ${width} x ${height} in the middle is what Pillow gives`, () => {
      expect(cropForClip(draw(width, height), config).tiles.map(digest)).toEqual([clip]);
    });
  }

  test("within a limit is the overview alone, and the receipt has no tiles", () => {
    const { tiles, steps, seen } = anyres.preprocess(draw(64, 48), 20);
    expect(tiles).toHaveLength(1);
    expect(seen).toEqual({ width: 32, height: 32 });
    expect(steps).toEqual([{ action: "resized", width: 32, height: 32, filter: "bicubic, antialiased" }]);
  });

  test("as llama.cpp does it is named in the receipt", () => {
    const view = new LlamaCppView(input, pinpoints);
    const { steps, tiles } = view.preprocess(draw(64, 48));
    expect(steps[0]).toEqual({ action: "compat", with: "llama.cpp" });
    expect(rowsOf(view.layout(64, 48))).toBe(tiles.length * 16);
    expect(view.preprocess(draw(32, 20)).tiles).toHaveLength(1);
    expect(new LlamaCppView(input, []).preprocess(draw(37, 113)).steps).toMatchObject([
      { action: "compat" },
      { action: "resized", width: 11, height: 32 },
      { action: "padded", colour: [122, 116, 104] },
    ]);
  });

  test("has its lines in order, without bars, and with newlines", () => {
    const picture = anyres.preprocess(draw(640, 480));
    // 5 tiles of 16 rows; row 100 t + n is the n-th of tile t, and so is its second value.
    const rows = Float32Array.from({ length: 5 * 16 * 2 }, (_, index) => {
      const row = Math.floor(index / 2);
      return Math.floor(row / 16) * 100 + (row % 16);
    });
    const arranged = [...anyres.arrange(rows, picture)].filter((_, index) => index % 2 === 0);
    const line = (y: number): number[] => {
      const [upper, lower] = y < 4 ? [1, 2] : [3, 4];
      return [...[upper, lower].flatMap((tile) => [0, 1, 2, 3].map((x) => tile * 100 + (y % 4) * 4 + x)), 0];
    };
    // 8 x 8 rows, of which the picture covers 6.
    const expected = [...Array.from({ length: 16 }, (_, row) => row), ...[1, 2, 3, 4, 5, 6].flatMap(line)];
    expect(arranged).toEqual(expected);
  });
});
