import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { selectBestResolution, sizeInside, unpadded } from "./anyres.ts";
import { AnyresView, type MergeType } from "./anyres-view.ts";
import type { ClipConfig } from "./clip-config.ts";
import { rowsOf } from "./picture-layout.ts";

const PINPOINTS = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
].map(([width = 0, height = 0]) => ({ width, height }));

const config = { imageSize: 336, imageMean: [0, 0, 0], imageStd: [1, 1, 1] } as unknown as ClipConfig;

function view(merge: MergeType, newline?: Float32Array): AnyresView {
  return new AnyresView({ config, side: 24, embeddingLength: 1 }, { pinpoints: PINPOINTS, merge, newline });
}

/** Sizes and what LLaVA 1.6 makes of them: best resolution, rows x columns without bars, all rows. */
const TABLE = [
  [336, 336, "336x672", "24x24", 1176],
  [640, 480, "672x672", "36x48", 2340],
  [480, 640, "672x672", "48x36", 2352],
  [1000, 500, "672x336", "24x48", 1752],
  [500, 1000, "336x672", "48x24", 1776],
  [1024, 1024, "672x672", "48x48", 2928],
  [1920, 1080, "672x672", "28x48", 1948],
  [3000, 800, "1008x336", "20x72", 2036],
  [200, 100, "336x672", "12x24", 876],
] as const;

describe("LLaVA 1.6's tiles", () => {
  test.each(TABLE)("of %d x %d", (width, height, best, rows, total) => {
    const original = { width, height };
    const size = selectBestResolution(original, PINPOINTS) ?? { width: 0, height: 0 };
    expect(`${size.width}x${size.height}`).toBe(best);
    const window = unpadded({ width: size.width / 14, height: size.height / 14 }, original);
    expect(`${window.rows}x${window.columns}`).toBe(rows);
    expect(rowsOf(view("spatial_unpad", new Float32Array(1)).layout(width, height))).toBe(total);
  });

  test("joined otherwise", () => {
    expect(rowsOf(view("flat").layout(1920, 1080))).toBe(5 * 576);
    expect(rowsOf(view("spatial").layout(1920, 1080))).toBe(5 * 576);
    // Without the newline's vector a line just ends.
    expect(rowsOf(view("spatial_unpad").layout(1920, 1080))).toBe(576 + 28 * 48);
  });

  test("of pictures so narrow that no column is left are newlines", () => {
    const newline = view("spatial_unpad", new Float32Array(1));
    expect(rowsOf(newline.layout(1, 4000))).toBe(576 + 48);
    expect(rowsOf(newline.layout(4000, 1))).toBe(576);
  });

  test("within a limit are fewer, or none; then the overview's rows are a grid that can be merged", () => {
    const tiled = view("spatial_unpad", new Float32Array(1));
    expect(tiled.layout(1920, 1080, 1948)).toEqual([{ rows: 1948 }]);
    // 672 x 336: 14 rows would be too few for 28; LLaVA's table has 24 x 42 without bars, and a newline each.
    expect(rowsOf(tiled.layout(1920, 1080, 1947))).toBeLessThan(1948);
    expect(rowsOf(tiled.layout(1920, 1080, 1947))).toBeGreaterThan(576);
    const overview = [{ rows: 576, grid: { rows: 24, columns: 24 } }];
    expect(tiled.layout(1920, 1080, 577)).toEqual(overview);
    expect(tiled.layout(1920, 1080, 1)).toEqual(overview);
  });

  test("never take more than the limit unless it is below the overview", () => {
    const tiled = view("spatial_unpad", new Float32Array(1));
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 576, max: 4000 }), (width, height, limit) => {
        expect(rowsOf(tiled.layout(width, height, limit))).toBeLessThanOrEqual(limit);
      }),
    );
  });

  test("hold all of a picture, and nothing of its bars but a row or column at most", () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(side, side, (width, height) => {
        const original = { width, height };
        const size = selectBestResolution(original, PINPOINTS) ?? { width: 0, height: 0 };
        const inside = sizeInside(original, size);
        expect(inside.width === size.width || inside.height === size.height).toBe(true);
        const window = unpadded({ width: size.width / 14, height: size.height / 14 }, original);
        expect(window.rows * 14).toBeLessThan(inside.height + 2 * 14);
        expect(window.columns * 14).toBeLessThan(inside.width + 2 * 14);
        expect(window.top).toBeGreaterThanOrEqual(0);
        expect(window.left).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
