/** Pictures in tiles, as LLaVA 1.6 has them (LLaVA: llava/mm_utils.py, llava/model/llava_arch.py). */

export interface Size {
  width: number;
  height: number;
}

/** Which of a tile's rows are used, counted over all tiles as one picture. */
export interface RowWindow {
  left: number;
  top: number;
  rows: number;
  columns: number;
}

/** What happens to a number after an operation: nothing in Python, and `Math.fround` in C++ that computes with floats. */
type Round = (number: number) => number;

const asItIs: Round = (number) => number;

/** The size, of those a model was trained with, at which most of a picture is seen; of two alike, the smaller one. */
export function selectBestResolution(
  original: Size,
  candidates: readonly Size[],
  round: Round = asItIs,
): Size | undefined {
  let best: Size | undefined;
  let [mostSeen, leastWaste] = [0, Number.POSITIVE_INFINITY];
  for (const candidate of candidates) {
    const scale = scaleInside(original, candidate, round);
    const scaled = Math.trunc(round(original.width * scale)) * Math.trunc(round(original.height * scale));
    const seen = Math.min(scaled, original.width * original.height);
    const waste = candidate.width * candidate.height - seen;
    if (seen < mostSeen || (seen === mostSeen && waste >= leastWaste)) continue;
    [best, mostSeen, leastWaste] = [candidate, seen, waste];
  }
  return best;
}

/** The largest size of a picture that fits into another one; a fraction of a pixel counts as one. */
export function sizeInside(original: Size, target: Size, round: Round = asItIs): Size {
  const scale = scaleInside(original, target, round);
  return {
    width: Math.min(Math.ceil(round(original.width * scale)), target.width),
    height: Math.min(Math.ceil(round(original.height * scale)), target.height),
  };
}

function scaleInside(original: Size, target: Size, round: Round): number {
  return Math.min(round(target.width / original.width), round(target.height / original.height));
}

/**
 * The rows that see the picture and not the bars around it. As in LLaVA's `unpad_image`, an odd number of rows to be
 * left out leaves one of them in, and of a very narrow picture no row is left at all.
 *
 * @param grid rows of all tiles: `width` columns, `height` rows
 */
export function unpadded(grid: Size, original: Size): RowWindow {
  if (original.width / original.height > grid.width / grid.height) {
    const rows = Math.trunc(original.height * (grid.width / original.width));
    const top = Math.floor((grid.height - rows) / 2);
    return { left: 0, top, rows: grid.height - 2 * top, columns: grid.width };
  }
  const columns = Math.trunc(original.width * (grid.height / original.height));
  const left = Math.floor((grid.width - columns) / 2);
  return { left, top: 0, rows: grid.height, columns: grid.width - 2 * left };
}
