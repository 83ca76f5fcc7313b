import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutPatches, orderPatches, rasterRows } from "./patch-order.ts";
import { positionCorners } from "./position-corners.ts";

const grids = fc.record({
  rows: fc.integer({ min: 1, max: 12 }),
  columns: fc.integer({ min: 1, max: 12 }),
  merge: fc.constantFrom(1, 2, 3),
  window: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
});

describe("the order of patches", () => {
  test("takes each one once, square by square, window by window", () => {
    fc.assert(
      fc.property(grids, ({ rows, columns, merge, window }) => {
        const grid = { rows: rows * merge, columns: columns * merge };
        const { down, across, squares, windows } = orderPatches(grid, merge, window);
        const places = new Set(Array.from(down, (y, place) => `${y} ${across[place]}`));
        expect(places.size).toBe(grid.rows * grid.columns);
        expect(new Set(squares).size).toBe(rows * columns);
        const side = (window ?? Math.max(rows, columns)) * merge;
        let start = 0;
        for (const { patches, count } of windows) {
          for (let number = 0; number < count; number++, start += patches) {
            const inWindow = Array.from(down.subarray(start, start + patches), (y, index) => {
              const x = across[start + index] as number;
              return `${Math.floor(y / side)} ${Math.floor(x / side)}`;
            });
            expect(new Set(inWindow).size).toBe(1);
          }
        }
        expect(start).toBe(down.length);
        const numberOfWindows = windows.reduce((sum, { count }) => sum + count, 0);
        expect(numberOfWindows).toBe(Math.ceil(grid.rows / side) * Math.ceil(grid.columns / side));
      }),
    );
  });

  test("is raster order without windows, and four sizes of windows at most", () => {
    expect([...orderPatches({ rows: 4, columns: 4 }, 2).down]).toEqual([
      0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3,
    ]);
    expect([...orderPatches({ rows: 4, columns: 4 }, 2).across]).toEqual([
      0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3,
    ]);
    expect(orderPatches({ rows: 20, columns: 28 }, 2, 4).windows).toEqual([
      { patches: 64, count: 6 },
      { patches: 32, count: 2 },
      { patches: 32, count: 3 },
      { patches: 16, count: 1 },
    ]);
  });

  test("is undone by rasterRows", () => {
    fc.assert(
      fc.property(grids, ({ rows, columns, merge, window }) => {
        const order = orderPatches({ rows: rows * merge, columns: columns * merge }, merge, window);
        const values = Float32Array.from({ length: 2 * order.squares.length }, (_, index) => {
          return 2 * (order.squares[Math.floor(index / 2)] as number) + (index % 2);
        });
        expect(rasterRows(values, order)).toEqual(values.toSorted());
      }),
    );
  });

  test("cuts pixels as a convolution's kernel lies", () => {
    const planes = Float32Array.from({ length: 3 * 4 * 6 }, (_, index) => index); // (3, 4, 6)
    const order = orderPatches({ rows: 2, columns: 3 }, 1);
    const patches = cutPatches(planes, { width: 6, height: 4 }, 2, order);
    expect([...patches.subarray(4 * 12, 5 * 12)]).toEqual([14, 15, 20, 21, 38, 39, 44, 45, 62, 63, 68, 69]);
  });
});

describe("corners of learned positions", () => {
  test("are the table itself where both grids have one size, and its corners where not", () => {
    const all = orderPatches({ rows: 4, columns: 4 }, 1);
    const { indices, weights } = positionCorners(4, { rows: 4, columns: 4 }, all);
    expect([...(indices[0] as Int32Array)]).toEqual(Array.from({ length: 16 }, (_, index) => index));
    expect([...(weights[0] as Float32Array)]).toEqual(Array.from({ length: 16 }, () => 1));
  });

  test("weigh one together, lie on the table, and are where the patch is", () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), size, size, (side, rows, columns) => {
        const order = orderPatches({ rows, columns }, 1);
        const { indices, weights } = positionCorners(side, { rows, columns }, order);
        for (const [place, down] of order.down.entries()) {
          let [sum, y] = [0, 0];
          for (const [corner, index] of indices.entries()) {
            const at = index[place] as number;
            const share = weights[corner]?.[place] as number;
            expect(at).toBeGreaterThanOrEqual(0);
            expect(at).toBeLessThan(side ** 2);
            sum += share;
            y += share * Math.floor(at / side);
          }
          expect(sum).toBeCloseTo(1, 5);
          expect(y).toBeCloseTo(rows === 1 ? 0 : (down * (side - 1)) / (rows - 1), 4);
        }
      }),
    );
  });
});
