import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GraphEvaluator, largestDifference, plainTensor } from "../../test/support/graph-evaluator.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

describe("interpolate", () => {
  const x = plainTensor(6, 5, 2, 3);

  /** What each old pixel of a line brings to a new one. PyTorch's documentation of `interpolate`. */
  function filterLine(
    oldLength: number,
    newLength: number,
    at: number,
    options: { filter: "bilinear" | "bicubic"; alignCorners: boolean; antialias: boolean },
  ): number[] {
    const corners = options.alignCorners && newLength > 1 && oldLength > 1;
    const step = corners ? (oldLength - 1) / (newLength - 1) : oldLength / newLength;
    const center = options.alignCorners ? at * step : (at + 0.5) * step - 0.5;
    const line = Array.from({ length: oldLength }, () => 0);
    if (options.antialias) {
      const width = Math.max(step, 1);
      for (const index of line.keys()) line[index] = Math.max(0, 1 - Math.abs(index - center) / width);
      const sum = line.reduce((total, value) => total + value, 0);
      return line.map((value) => value / sum);
    }
    const a = -0.75;
    const weigh = (distance: number): number => {
      const d = Math.abs(distance);
      if (options.filter === "bilinear") return Math.max(0, 1 - d);
      if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
      return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
    };
    for (let index = Math.floor(center) - 1; index <= Math.floor(center) + 2; index++) {
      const inside = Math.min(Math.max(index, 0), oldLength - 1);
      line[inside] = (line[inside] ?? 0) + weigh(index - center);
    }
    return line;
  }

  const sizes = [
    [12, 10],
    [6, 5],
    [9, 3],
    [4, 11],
    [1, 1],
  ] as const;
  test.each([
    ["bilinear", false, false],
    ["bilinear", true, false],
    ["bilinear", false, true],
    ["bicubic", false, false],
    ["bicubic", true, false],
  ] as const)("%s, corners aligned: %s, antialias: %s", async (filter, alignCorners, antialias) => {
    for (const [width, height] of sizes) {
      const options = { filter, alignCorners, antialias };
      const result = await evaluator.evaluate([x], (graph, t) =>
        graph.interpolate(t, width, height, options),
      );
      const across = Array.from({ length: width }, (_, at) => filterLine(6, width, at, options));
      const down = Array.from({ length: height }, (_, at) => filterLine(5, height, at, options));
      expect(
        largestDifference(result, [width, height, 2, 3], (i0, i1, i2, i3) => {
          let sum = 0;
          for (const [ix, wx] of (across[i0] ?? []).entries()) {
            for (const [iy, wy] of (down[i1] ?? []).entries()) sum += wx * wy * x.at(ix, iy, i2, i3);
          }
          return sum;
        }),
      ).toBeLessThan(5e-6);
    }
  });
});
