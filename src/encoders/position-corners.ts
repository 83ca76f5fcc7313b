import type { RowGrid } from "./row-grid.ts";

/** Rows of a table of position embeddings that lie around each patch, and how much each of them counts. */
export interface PositionCorners {
  /** The four corners, each (patches) int32. */
  indices: readonly Int32Array[];
  /** Parallel to them, each (patches) float32. */
  weights: readonly Float32Array[];
}

/**
 * Learned position embeddings of a square grid, stretched over a picture's grid with bilinear weights; the corners of
 * both lie on each other (transformers: models/qwen3_vl/vision_utils.py get_pos_embed_indices).
 *
 * @param side of the table: it has side * side rows
 * @param grid of the picture's patches
 * @param places of the patches on `grid`, in the order in which their embeddings are wanted
 */
export function positionCorners(
  side: number,
  grid: RowGrid,
  { down, across }: { down: Int32Array; across: Int32Array },
): PositionCorners {
  const rows = stretch(side, grid.rows);
  const columns = stretch(side, grid.columns);
  const indices = Array.from({ length: 4 }, () => new Int32Array(down.length));
  const weights = Array.from({ length: 4 }, () => new Float32Array(down.length));
  for (let place = 0; place < down.length; place++) {
    const y = rows[down[place] as number] as Between;
    const x = columns[across[place] as number] as Between;
    for (const [corner, [below, right]] of CORNERS.entries()) {
      const row = below ? y.after : y.before;
      const column = right ? x.after : x.before;
      (indices[corner] as Int32Array)[place] = row * side + column;
      (weights[corner] as Float32Array)[place] =
        (below ? y.part : 1 - y.part) * (right ? x.part : 1 - x.part);
    }
  }
  return { indices, weights };
}

const CORNERS = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

/** Between which two lines of the table one of the picture lies, and which part of the way to the second. */
interface Between {
  before: number;
  after: number;
  part: number;
}

function stretch(side: number, count: number): Between[] {
  return Array.from({ length: count }, (_, index) => {
    const at = count === 1 ? 0 : (index * (side - 1)) / (count - 1);
    const before = Math.floor(at);
    return { before, after: Math.min(before + 1, side - 1), part: at - before };
  });
}
