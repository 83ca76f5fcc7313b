import type { RowGrid } from "./row-grid.ts";

/** In which order the patches of a picture go through a transformer that joins squares of them into one row. */
export interface PatchOrder {
  /** Coordinates of each patch on the grid. */
  down: Int32Array; // (patches) int32
  across: Int32Array; // (patches) int32
  /** Which square, in raster order, comes at each place: `merge` x `merge` patches that lie one after the other. */
  squares: Int32Array; // (squares) int32
  /** Windows of one size that lie one after the other. One of them holds all patches if nothing is cut. */
  windows: readonly { patches: number; count: number }[];
}

/**
 * Squares in raster order, and inside each its patches (Qwen2-VL). With `window` the picture is cut into windows of so
 * many squares a side, smaller at the right and lower edge; the squares of a window, and then all windows of one size,
 * come one after the other, so that attention within them is one batch for each size (Qwen2.5-VL).
 *
 * @param grid of patches, a multiple of `merge` both ways
 */
export function orderPatches(grid: RowGrid, merge: number, window?: number): PatchOrder {
  const rows = grid.rows / merge;
  const columns = grid.columns / merge;
  const side = window ?? Math.max(rows, columns);
  const bySize = new Map<string, { patches: number; count: number; squares: number[] }>();
  for (let top = 0; top < rows; top += side) {
    for (let left = 0; left < columns; left += side) {
      const height = Math.min(side, rows - top);
      const width = Math.min(side, columns - left);
      const size = `${width} x ${height}`;
      const same = bySize.get(size) ?? { patches: width * height * merge ** 2, count: 0, squares: [] };
      bySize.set(size, same);
      same.count += 1;
      for (let square = 0; square < width * height; square++) {
        const y = top + Math.floor(square / width);
        same.squares.push(y * columns + left + (square % width));
      }
    }
  }
  const groups = [...bySize.values()];
  const squares = Int32Array.from(groups.flatMap((group) => group.squares));
  const windows = groups.map(({ patches, count }) => ({ patches, count }));
  return { ...placePatches(squares, columns, merge), squares, windows };
}

function placePatches(
  squares: Int32Array, // (squares) int32
  columns: number,
  merge: number,
): Pick<PatchOrder, "down" | "across"> {
  const down = new Int32Array(squares.length * merge ** 2);
  const across = new Int32Array(squares.length * merge ** 2);
  for (let place = 0; place < down.length; place++) {
    const square = squares[Math.floor(place / merge ** 2)] as number;
    const inside = place % merge ** 2;
    down[place] = Math.floor(square / columns) * merge + Math.floor(inside / merge);
    across[place] = (square % columns) * merge + (inside % merge);
  }
  return { down, across };
}

/**
 * Pixels to one row per patch, in the given order; inside a patch as a convolution's kernel: channel, y, x.
 *
 * @param planes (3, height, width)
 * @returns (patches, 3 * patchSize * patchSize)
 */
export function cutPatches(
  planes: Float32Array,
  { width, height }: { width: number; height: number },
  patchSize: number,
  { down, across }: PatchOrder,
): Float32Array {
  const patchLength = 3 * patchSize ** 2;
  const result = new Float32Array(down.length * patchLength);
  for (let place = 0; place < down.length; place++) {
    const corner = (down[place] as number) * patchSize * width + (across[place] as number) * patchSize;
    for (let line = 0; line < 3 * patchSize; line++) {
      const channel = Math.floor(line / patchSize);
      const from = channel * width * height + corner + (line % patchSize) * width;
      result.set(planes.subarray(from, from + patchSize), place * patchLength + line * patchSize);
    }
  }
  return result;
}

/** Rows in the order of their squares to raster order. */
export function rasterRows(
  rows: Float32Array, // (squares, columns) float32
  { squares }: PatchOrder,
): Float32Array {
  const columns = rows.length / squares.length;
  const result = new Float32Array(rows.length); // (squares, columns) float32
  for (const [place, square] of squares.entries()) {
    result.set(rows.subarray(place * columns, (place + 1) * columns), square * columns);
  }
  return result;
}
