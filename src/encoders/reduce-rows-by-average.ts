import { MullError } from "../spec/errors.ts";
import type { RowGrid } from "./row-grid.ts";

/**
 * The coarser grid that `grid average` makes for a budget: of all with at most `target` cells the one whose coarser side is
 * the finest, then the one with the most cells. 24 x 24 becomes 17 x 17 with a budget of 300, 8 x 8 becomes 6 x 8 with 48.
 */
export function averagedGrid(grid: RowGrid, target: number): RowGrid {
  let best = { rows: 1, columns: 1 };
  let [finest, most] = [0, 0];
  for (let rows = 1; rows <= Math.min(grid.rows, target); rows++) {
    const columns = Math.min(grid.columns, Math.floor(target / rows));
    // rows / grid.rows and columns / grid.columns, both times the number of cells.
    const fineness = Math.min(rows * grid.columns, columns * grid.rows);
    if (fineness < finest || (fineness === finest && rows * columns <= most)) continue;
    best = { rows, columns };
    [finest, most] = [fineness, rows * columns];
  }
  return best;
}

/** Mean of the rows under each cell of the coarser grid, each weighted by the area that the cell covers of it. */
export function averageRowsOnGrid(
  rows: Float32Array, // (grid.rows * grid.columns, width) float32
  width: number,
  grid: RowGrid,
  target: number,
): Float32Array {
  const coarse = averagedGrid(grid, target);
  if (coarse.rows * coarse.columns !== target) {
    throw new MullError(
      "internal",
      `A grid average cannot make ${target} rows of ${grid.rows} x ${grid.columns}.`,
    );
  }
  const vertical = coverage(grid.rows, coarse.rows);
  const horizontal = coverage(grid.columns, coarse.columns);
  const result = new Float32Array(target * width); // (coarse.rows * coarse.columns, width) float32
  const sum = new Float64Array(width);
  let place = 0;
  for (const across of vertical) {
    for (const along of horizontal) {
      sum.fill(0);
      for (const [row, height] of across) {
        for (const [column, length] of along) {
          const from = (row * grid.columns + column) * width;
          const weight = height * length;
          for (let index = 0; index < width; index++) {
            sum[index] = (sum[index] as number) + weight * (rows[from + index] as number);
          }
        }
      }
      result.set(sum, place * width);
      place += 1;
    }
  }
  return result;
}

/** For each of `to` equal stretches of a line of `from` cells: the cells it covers, each with its share of the stretch. */
function coverage(from: number, to: number): (readonly [cell: number, share: number])[][] {
  return Array.from({ length: to }, (_, stretch) => {
    // In units of 1 / to of a cell everything is whole, so that shares are exact.
    const [start, end] = [stretch * from, (stretch + 1) * from];
    const cells: (readonly [number, number])[] = [];
    for (let cell = Math.floor(start / to); cell * to < end; cell++) {
      const covered = Math.min(end, (cell + 1) * to) - Math.max(start, cell * to);
      cells.push([cell, covered / from]);
    }
    return cells;
  });
}
