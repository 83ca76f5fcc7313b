import type { RowGrid } from "./row-grid.ts";

/** A size in pixels. */
interface Size {
  width: number;
  height: number;
}

export interface TileLimits {
  /** Side of a tile, in pixels. */
  imageSize: number;
  minTiles: number;
  maxTiles: number;
}

/**
 * Into how many tiles a picture is cut: the grid whose shape is nearest to its own. Of two grids of the same shape, such
 * as 1 x 1 and 2 x 2, the larger one if the picture has more than half its pixels.
 *
 * Chen et al. 2024, "How Far Are We to GPT-4V?", arXiv 2404.16821, section 3.3; OpenGVLab/InternVL:
 * internvl/train/dataset.py find_closest_aspect_ratio.
 */
export function chooseTileGrid({ width, height }: Size, limits: TileLimits): RowGrid {
  const shape = width / height;
  let best: RowGrid = { rows: 1, columns: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (const grid of tileGrids(limits)) {
    const difference = Math.abs(shape - grid.columns / grid.rows);
    const tilesPixels = limits.imageSize ** 2 * grid.columns * grid.rows;
    if (difference < least || (difference === least && width * height > 0.5 * tilesPixels)) {
      best = grid;
      least = difference;
    }
  }
  return best;
}

/** With the fewest tiles first. */
function tileGrids({ minTiles, maxTiles }: TileLimits): RowGrid[] {
  const grids: RowGrid[] = [];
  for (let columns = 1; columns <= maxTiles; columns++) {
    for (let rows = Math.ceil(minTiles / columns); rows * columns <= maxTiles; rows++) {
      grids.push({ rows, columns });
    }
  }
  return grids.toSorted((a, b) => a.rows * a.columns - b.rows * b.columns);
}

/** Tiles and, if there are several, the whole picture in one more. */
export function viewsOf({ rows, columns }: RowGrid): number {
  return rows * columns === 1 ? 1 : rows * columns + 1;
}
