import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { RgbImage } from "../media/rgb-image.ts";
import { BILINEAR, LANCZOS } from "./resample-kernels.ts";
import { bareCanvas, resize, resizeBicubic } from "./resize.ts";

interface Fixture {
  colour: [number, number, number];
  cases: { width: number; height: number; side: number; pixels: string }[];
}

const fixture = JSON.parse(
  readFileSync(new URL("fixtures/pillow-bicubic.json", import.meta.url), "utf8"),
) as Fixture;

/** As in fixtures/make-pillow-fixtures.py. */
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

describe("resizeBicubic", () => {
  for (const { width, height, side, pixels } of fixture.cases) {
    test(`gives Pillow's pixels for ${width} x ${height} on a square, at ${side} x ${side}`, () => {
      const square = Math.max(width, height);
      const canvas = {
        image: draw(width, height),
        width: square,
        height: square,
        left: Math.floor((square - width) / 2),
        top: Math.floor((square - height) / 2),
        colour: fixture.colour,
      };
      const resized = resizeBicubic(canvas, side, side);
      expect(resized).toHaveLength(side * side * 3);
      const expected = new Uint8Array(Buffer.from(pixels, "base64"));
      let largest = 0;
      for (const [index, level] of expected.entries()) {
        largest = Math.max(largest, Math.abs(level - (resized[index] ?? Infinity)));
      }
      // The issue allows one level; the arithmetic is the same, so there is none.
      expect(largest).toBe(0);
    });
  }

  test("changes each side on its own", () => {
    const image = draw(20, 30);
    const canvas = { image, width: 20, height: 30, left: 0, top: 0, colour: fixture.colour };
    expect(resizeBicubic(canvas, 20, 30)).toEqual(image.data);
    expect(resizeBicubic(canvas, 10, 30)).toHaveLength(10 * 30 * 3);
    expect(resizeBicubic(canvas, 20, 10)).toHaveLength(20 * 10 * 3);
  });
});

interface FilterFixture {
  cases: {
    kernel: "bilinear" | "lanczos";
    width: number;
    height: number;
    results: { width: number; height: number; pixels: string }[];
  }[];
}

const filters = JSON.parse(
  readFileSync(new URL("fixtures/pillow-filters.json", import.meta.url), "utf8"),
) as FilterFixture;

describe("resize", () => {
  for (const { kernel, width, height, results } of filters.cases) {
    const sizes = results.map((size) => `${size.width} x ${size.height}`).join(", then ");
    test(`gives Pillow's pixels for ${width} x ${height}, ${kernel}, at ${sizes}`, () => {
      let image = draw(width, height);
      for (const size of results) {
        const data = resize(
          bareCanvas(image),
          size.width,
          size.height,
          kernel === "bilinear" ? BILINEAR : LANCZOS,
        );
        expect(Buffer.from(data).toString("base64")).toBe(size.pixels);
        image = { width: size.width, height: size.height, data };
      }
    });
  }
});
