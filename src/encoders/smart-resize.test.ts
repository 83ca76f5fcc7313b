import fc from "fast-check";
import { expect, test } from "vitest";
import { smartResize } from "./smart-resize.ts";

const QWEN2 = { factor: 28, minPixels: 56 * 56, maxPixels: 1280 * 28 * 28 };
const QWEN3 = { factor: 32, minPixels: 256 * 256, maxPixels: 4096 * 4096 };

// What transformers' smart_resize gives. Python rounds halves to even, so that 70 of 28 become 56 and 336 of 32 become
// 320; llama.cpp rounds them away from zero, to 84 and 352.
test.each([
  [1, 1, [56, 56], [256, 256]],
  [10, 10, [56, 56], [256, 256]],
  [37, 113, [28, 112], [160, 448]],
  [70, 98, [56, 112], [224, 320]],
  [42, 126, [56, 112], [160, 448]],
  [336, 336, [336, 336], [320, 320]],
  [640, 480, [644, 476], [640, 480]],
  [1920, 1080, [1316, 728], [1920, 1088]],
  [8000, 6000, [1148, 840], [4704, 3520]],
  [13, 1000, [28, 504], [32, 2272]],
  [5000, 30, [5012, 28], [4992, 32]],
] as const)("%d x %d pixels as transformers has it", (width, height, second, third) => {
  const size = { width, height };
  expect(Object.values(smartResize(size, QWEN2))).toEqual(second);
  expect(Object.values(smartResize(size, QWEN3))).toEqual(third);
});

test("whole squares, never above the limit", () => {
  const side = fc.integer({ min: 1, max: 20_000 });
  const rows = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(side, side, fc.constantFrom(16, 28, 32), rows, rows, (width, height, factor, a, b) => {
      const maxPixels = Math.max(a, b) * factor ** 2;
      const minPixels = Math.min(a, b) * factor ** 2;
      const size = smartResize({ width, height }, { factor, minPixels, maxPixels });
      for (const length of [size.width, size.height]) {
        expect(length).toBeGreaterThan(0);
        expect(length % factor).toBe(0);
      }
      expect(size.width * size.height).toBeLessThanOrEqual(maxPixels);
    }),
  );
});

test("a picture within the limits keeps its shape, but for what the squares take", () => {
  const side = fc.integer({ min: 64, max: 4000 });
  fc.assert(
    fc.property(side, side, (width, height) => {
      const size = smartResize({ width, height }, QWEN3);
      const scale = Math.sqrt((size.width * size.height) / (width * height));
      expect(Math.abs(size.width - width * scale)).toBeLessThanOrEqual(QWEN3.factor);
      expect(Math.abs(size.height - height * scale)).toBeLessThanOrEqual(QWEN3.factor);
    }),
  );
});
