import { describe, expect, test } from "vitest";
import { preprocessForLlava } from "./llava-preprocess.ts";

const config = {
  imageSize: 4,
  imageMean: [0.48145466, 0.4578275, 0.40821073],
  imageStd: [0.26862954, 0.26130258, 0.27577711],
} as const;

function plain(width: number, height: number, colour: readonly number[]) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, index) => colour[index % 3] ?? 0);
  return { width, height, data };
}

describe("preprocessForLlava", () => {
  test("leaves a square picture of the right size as it is, and says so by saying nothing", () => {
    const { steps, seen, tiles } = preprocessForLlava(plain(4, 4, [255, 0, 51]), config);
    expect(steps).toEqual([]);
    expect(seen).toEqual({ width: 4, height: 4 });
    const [tile] = tiles;
    expect(tile).toHaveLength(3 * 4 * 4);
    // Planes: red, green, blue.
    expect(tile?.[0]).toBeCloseTo((1 - 0.48145466) / 0.26862954, 5);
    expect(tile?.[16]).toBeCloseTo((0 - 0.4578275) / 0.26130258, 5);
    expect(tile?.[32]).toBeCloseTo((0.2 - 0.40821073) / 0.27577711, 5);
  });

  test("pads, then scales", () => {
    const { steps, tiles } = preprocessForLlava(plain(16, 2, [255, 255, 255]), config);
    expect(steps).toEqual([
      { action: "padded", width: 16, height: 16, colour: [122, 116, 104] },
      { action: "resized", width: 4, height: 4, filter: "bicubic, antialiased" },
    ]);
    const [tile] = tiles;
    expect(tile?.[8]).toBeGreaterThan(tile?.[0] ?? Infinity);
  });

  test("pads with the mean colour, cut to whole levels, without scaling when the longer side fits", () => {
    const { steps, tiles } = preprocessForLlava(plain(2, 4, [9, 9, 9]), config);
    expect(steps.map(({ action }) => action)).toEqual(["padded"]);
    expect(tiles[0]?.[0]).toBeCloseTo((122 / 255 - 0.48145466) / 0.26862954, 5);
    expect(tiles[0]?.[1]).toBeCloseTo((9 / 255 - 0.48145466) / 0.26862954, 5);
  });

  test("scales without padding when the picture is square", () => {
    const { steps } = preprocessForLlava(plain(1, 1, [9, 9, 9]), config);
    expect(steps.map(({ action }) => action)).toEqual(["resized"]);
  });

  test("takes a picture of one column and many rows without storing its square", () => {
    const { steps } = preprocessForLlava(plain(1, 30_000, [9, 9, 9]), config);
    expect(steps[0]).toMatchObject({ action: "padded", width: 30_000, height: 30_000 });
  });
});
