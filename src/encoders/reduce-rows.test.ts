import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { averagedGrid } from "./reduce-rows-by-average.ts";
import { REDUCTION_METHODS, type ReductionMethod, reduceRows, reductionMethod } from "./reduce-rows.ts";
import { rowsForBudget } from "./image-budget.ts";
import type { RowGrid } from "./row-grid.ts";

const method = fc.constantFrom(...REDUCTION_METHODS);

/** A picture's rows and a number of them that the method can make. */
const reduction = fc
  .record({
    grid: fc.record({ rows: fc.integer({ min: 1, max: 9 }), columns: fc.integer({ min: 1, max: 9 }) }),
    width: fc.integer({ min: 1, max: 9 }),
    method,
  })
  .chain(({ grid, width, method }) =>
    fc.record({
      grid: fc.constant(grid),
      width: fc.constant(width),
      method: fc.constant(method),
      target: fc
        .integer({ min: 1, max: grid.rows * grid.columns })
        .map((maxTokens) => rowsForBudget(grid, { maxTokens }, method)),
      rows: fc.float32Array({
        minLength: grid.rows * grid.columns * width,
        maxLength: grid.rows * grid.columns * width,
        noNaN: true,
        min: -1000,
        max: 1000,
      }),
    }),
  );

function columnOf(rows: Float32Array, width: number, column: number): number[] {
  return Array.from({ length: rows.length / width }, (_, row) => rows[row * width + column] as number);
}

const mean = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0) / values.length;

/** A grid in which every cell is the letter of a drawing: one row of width 2 each. */
function drawing(...lines: string[]): { rows: Float32Array; grid: RowGrid } {
  const values = lines.flatMap((line) => Array.from(line, (letter) => [letter.charCodeAt(0), -1])).flat();
  return { rows: Float32Array.from(values), grid: { rows: lines.length, columns: lines[0]?.length ?? 0 } };
}

const lettersOf = (rows: Float32Array): string => String.fromCharCode(...columnOf(rows, 2, 0));

describe("every method", () => {
  test("makes exactly so many rows, all finite and within the range of what went in", () => {
    fc.assert(
      fc.property(reduction, ({ rows, ...options }) => {
        const result = reduceRows(rows, options);
        expect(result.length).toBe(options.target * options.width);
        for (let column = 0; column < options.width; column++) {
          const before = columnOf(rows, options.width, column);
          const after = columnOf(result, options.width, column);
          expect(Math.min(...after)).toBeGreaterThanOrEqual(Math.min(...before) - 1e-3);
          expect(Math.max(...after)).toBeLessThanOrEqual(Math.max(...before) + 1e-3);
        }
      }),
    );
  });

  test("gives the same rows for the same rows, and leaves the argument as it was", () => {
    fc.assert(
      fc.property(reduction, ({ rows, ...options }) => {
        const before = rows.slice();
        const result = reduceRows(rows, options);
        expect(rows).toEqual(before);
        expect(reduceRows(before, options)).toEqual(result);
      }),
    );
  });

  test("gives the rows back when there is nothing to reduce", () => {
    fc.assert(
      fc.property(reduction, ({ rows, grid, ...options }) => {
        expect(reduceRows(rows, { ...options, grid, target: grid.rows * grid.columns })).toBe(rows);
      }),
    );
  });

  test("keeps a plain picture plain", () => {
    fc.assert(
      fc.property(
        reduction,
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        ({ rows, ...options }, value) => {
          const result = reduceRows(rows.fill(value), options);
          const tolerance = Math.abs(value) * 2 ** -22;
          for (const kept of result) expect(Math.abs(kept - value)).toBeLessThanOrEqual(tolerance);
        },
      ),
    );
  });

  test("keeps raster order: of rows that grow along the raster the result grows too", () => {
    fc.assert(
      fc.property(reduction, ({ grid, method, target }) => {
        // A merged row stands where its first one stood, which is its mean's place on a line only.
        const shape = method === "grid average" ? grid : { rows: 1, columns: grid.rows * grid.columns };
        const rows = Float32Array.from({ length: grid.rows * grid.columns }, (_, row) => row);
        const result = [...reduceRows(rows, { width: 1, grid: shape, target, method })];
        for (let row = 1; row < result.length; row++) {
          expect(result[row]).toBeGreaterThan(result[row - 1] as number);
        }
      }),
    );
  });

  test("takes rows without a grid as one line", () => {
    fc.assert(
      fc.property(reduction, ({ rows, grid, width, method, target }) => {
        const line = { rows: 1, columns: grid.rows * grid.columns };
        const options = { width, target, method };
        expect(reduceRows(rows, options)).toEqual(reduceRows(rows, { ...options, grid: line }));
      }),
    );
  });

  test.each(REDUCTION_METHODS)("%s ends for rows that are no numbers", (method) => {
    const rows = new Float32Array(16 * 4).fill(NaN);
    expect(reduceRows(rows, { width: 4, grid: { rows: 4, columns: 4 }, target: 4, method })).toHaveLength(16);
  });

  test.each([
    ["a grid of another size", { grid: { rows: 3, columns: 3 }, target: 2 }],
    ["more rows than there are", { target: 9 }],
    ["no rows", { target: 0 }],
    ["half a row", { target: 1.5 }],
    ["rows of another width", { width: 3, target: 2 }],
  ])("refuses %s", (_, options) => {
    expect(() => reduceRows(new Float32Array(8 * 4), { width: 4, ...options })).toThrow(
      expect.objectContaining({ code: "internal" }),
    );
  });
});

describe("grid average", () => {
  test("keeps the mean of all rows", () => {
    fc.assert(
      fc.property(reduction, ({ rows, grid, width, target: limit }) => {
        const target = rowsForBudget(grid, { maxTokens: limit }, "grid average");
        const result = reduceRows(rows, { width, grid, target, method: "grid average" });
        for (let column = 0; column < width; column++) {
          expect(mean(columnOf(result, width, column))).toBeCloseTo(mean(columnOf(rows, width, column)), 2);
        }
      }),
    );
  });

  test("weighs a row by the part of it that lies in the cell", () => {
    const result = reduceRows(Float32Array.of(0, 3, 6), { width: 1, target: 2, method: "grid average" });
    // Cells of 1.5 rows: (0 + 3 / 2) / 1.5 and (3 / 2 + 6) / 1.5.
    expect([...result]).toEqual([1, 5]);
  });

  test("averages quarters of a picture", () => {
    const { rows, grid } = drawing("aabb", "aabb", "ccdd", "ccdd");
    expect(lettersOf(reduceRows(rows, { width: 2, grid, target: 4, method: "grid average" }))).toBe("abcd");
  });

  test.each([
    [{ rows: 24, columns: 24 }, 576, { rows: 24, columns: 24 }],
    [{ rows: 24, columns: 24 }, 144, { rows: 12, columns: 12 }],
    [{ rows: 24, columns: 24 }, 121, { rows: 11, columns: 11 }],
    [{ rows: 24, columns: 24 }, 120, { rows: 10, columns: 12 }],
    [{ rows: 8, columns: 8 }, 48, { rows: 6, columns: 8 }],
    [{ rows: 8, columns: 8 }, 3, { rows: 1, columns: 3 }],
    [{ rows: 10, columns: 40 }, 100, { rows: 5, columns: 20 }],
    [{ rows: 1, columns: 100 }, 17, { rows: 1, columns: 17 }],
    [{ rows: 100, columns: 1 }, 17, { rows: 17, columns: 1 }],
  ])("%o becomes, with %i rows, %o", (grid, target, expected) => {
    expect(averagedGrid(grid, target)).toEqual(expected);
  });

  test("never makes more rows or finer cells than asked for, and at least one", () => {
    const side = fc.integer({ min: 1, max: 64 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 5000 }), (rows, columns, target) => {
        const coarse = averagedGrid({ rows, columns }, target);
        expect(coarse.rows * coarse.columns).toBeLessThanOrEqual(target);
        expect(coarse.rows).toBeLessThanOrEqual(rows);
        expect(coarse.columns).toBeLessThanOrEqual(columns);
        expect(Math.min(coarse.rows, coarse.columns)).toBeGreaterThanOrEqual(1);
        // What it can make of a budget it also makes of exactly that budget.
        const made = averagedGrid({ rows, columns }, coarse.rows * coarse.columns);
        expect(made.rows * made.columns).toBe(coarse.rows * coarse.columns);
      }),
    );
  });

  test("refuses a number of rows that is no grid", () => {
    const options = { width: 1, grid: { rows: 8, columns: 8 }, target: 11, method: "grid average" } as const;
    expect(() => reduceRows(new Float32Array(64), options)).toThrow(
      "A grid average cannot make 11 rows of 8 x 8.",
    );
  });
});

describe("similarity merge", () => {
  const merge = (picture: { rows: Float32Array; grid: RowGrid }, target: number): string =>
    lettersOf(reduceRows(picture.rows, { width: 2, grid: picture.grid, target, method: "similarity merge" }));

  test("merges what is alike, in the order of first places", () => {
    expect(merge(drawing("aaab", "aaab", "cddb", "cccc"), 4)).toBe("abcd");
  });

  test("keeps a small thing apart from a large background", () => {
    expect(merge(drawing("aaaaaa", "aaaaaa", "aaaaba", "aaaaaa"), 2)).toBe("ab");
  });

  test("does not merge across the edge of the picture, nor what is alike but apart", () => {
    expect(merge(drawing("abbb", "bbba"), 3)).toBe("aba");
  });

  test("weighs a merged row by how many it holds", () => {
    // 0 and 0 first; then their mean with 3 costs less than 3 with 9.
    const result = reduceRows(Float32Array.of(0, 0, 3, 9), {
      width: 1,
      target: 2,
      method: "similarity merge",
    });
    expect([...result]).toEqual([1, 9]);
  });
});

test("random takes rows as they are, each about as often as any other", () => {
  const taken = new Int32Array(8);
  for (let picture = 0; picture < 2000; picture++) {
    const rows = Float32Array.from({ length: 8 }, (_, row) => 8 * picture + row);
    for (const value of reduceRows(rows, { width: 1, target: 2, method: "random" })) taken[value % 8]! += 1;
  }
  for (const count of taken) expect(Math.abs(count - 500)).toBeLessThan(100);
});

describe("reductionMethod", () => {
  test("is similarity merge unless MULL_IMAGE_REDUCTION names another", () => {
    const of = (MULL_IMAGE_REDUCTION?: string): ReductionMethod =>
      reductionMethod(MULL_IMAGE_REDUCTION === undefined ? {} : { MULL_IMAGE_REDUCTION });
    expect(of()).toBe("similarity merge");
    expect(of("")).toBe("similarity merge");
    expect(of("grid average")).toBe("grid average");
    expect(() => of("magic")).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
