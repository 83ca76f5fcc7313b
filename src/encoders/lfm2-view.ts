import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { type PixelStatistics, normaliseRectangle } from "./normalise.ts";
import { type PicturePart, rowsOf } from "./picture-layout.ts";
import { BILINEAR } from "./resample-kernels.ts";
import { bareCanvas, resize } from "./resize.ts";

interface Size {
  width: number;
  height: number;
}

/** Columns and rows of tiles. */
interface Grid {
  columns: number;
  rows: number;
}

export interface Lfm2ViewOptions extends PixelStatistics {
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** Side of the square of pixels that becomes one row. */
  square: number;
}

// As of every published model: no file says it.
const LEAST_ROWS = 64;
const MOST_ROWS = 256;
export const TILE_SIDE = 512;
const LEAST_TILES = 2;
export const MOST_TILES = 10;
/** So many times the pixels that `MOST_ROWS` cover are still shown as one, smaller picture. */
const TOLERANCE = 2;

/**
 * LFM2-VL's view of a picture: as it is, in 64 to 256 rows; a larger one in 2 to 10 tiles, with such a small one behind
 * them. Transformers: Lfm2VlImageProcessor and Lfm2VlProcessor.
 */
export class Lfm2View {
  readonly #options: Lfm2ViewOptions;

  constructor(options: Lfm2ViewOptions) {
    this.#options = options;
  }

  /** @param limit rows; fewer tiles, or a smaller picture, are made of one that would take more */
  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const { grid, small } = this.#choose({ width, height }, limit);
    return this.#parts(grid, small);
  }

  /** @param limit as of `layout` */
  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    const original = { width: image.width, height: image.height };
    const { grid, small } = this.#choose(original, limit);
    const whole = this.#normalise(stretch(image, small), { left: 0, top: 0, ...small });
    if (grid === undefined) {
      return {
        tiles: [whole],
        tileSizes: [small],
        original,
        seen: small,
        steps: resizedSteps(original, small),
      };
    }
    const seen = { width: grid.columns * TILE_SIDE, height: grid.rows * TILE_SIDE };
    const pixels = stretch(image, seen);
    const tile = { width: TILE_SIDE, height: TILE_SIDE };
    const tiles: Float32Array[] = [];
    for (let top = 0; top < seen.height; top += TILE_SIDE) {
      for (let left = 0; left < seen.width; left += TILE_SIDE) {
        tiles.push(this.#normalise(pixels, { left, top, ...tile }));
      }
    }
    return {
      tiles: [...tiles, whole],
      tileSizes: [...tiles.map(() => tile), small],
      original,
      seen,
      steps: [...resizedSteps(original, seen), { action: "tiled", ...grid, ...tile, overview: true }],
    };
  }

  #normalise(pixels: RgbImage, part: Size & { left: number; top: number }): Float32Array {
    return normaliseRectangle(pixels, part, this.#options);
  }

  #choose(original: Size, limit = Number.POSITIVE_INFINITY): { grid: Grid | undefined; small: Size } {
    const small = this.#smallSize(original, MOST_ROWS);
    for (let most = this.#isLarge(original) ? MOST_TILES : 0; most >= LEAST_TILES; most--) {
      const grid = closestGrid(original, most);
      if (rowsOf(this.#parts(grid, small)) <= limit) return { grid, small };
    }
    return { grid: undefined, small: this.#smallSize(original, Math.max(1, Math.min(limit, MOST_ROWS))) };
  }

  #parts(grid: Grid | undefined, small: Size): readonly PicturePart[] {
    const { square } = this.#options;
    const lines = { rows: small.height / square, columns: small.width / square };
    const whole = { rows: lines.rows * lines.columns };
    const end = { text: "<|image_end|>" };
    if (grid === undefined) return [{ text: "<|image_start|>" }, { ...whole, grid: lines }, end];
    const tile = { rows: (TILE_SIDE / square) ** 2 };
    const parts: PicturePart[] = [];
    for (let row = 1; row <= grid.rows; row++) {
      for (let column = 1; column <= grid.columns; column++) {
        const start = row + column === 2 ? "<|image_start|>" : "";
        parts.push({ text: `${start}<|img_row_${row}_col_${column}|>` }, tile);
      }
    }
    return [...parts, { text: "<|img_thumbnail|>" }, whole, end];
  }

  #isLarge({ width, height }: Size): boolean {
    const { square, patchSize } = this.#options;
    const area = Math.max(roundTo(width, square), patchSize) * Math.max(roundTo(height, square), patchSize);
    return area > MOST_ROWS * square ** 2 * TOLERANCE;
  }

  /** Whole squares, in the proportions of the picture. */
  #smallSize({ width, height }: Size, most: number): Size {
    const { square } = this.#options;
    const least = Math.min(LEAST_ROWS, most);
    const [across, down] = [
      Math.max(square, roundTo(width, square)),
      Math.max(square, roundTo(height, square)),
    ];
    if (across * down > most * square ** 2) {
      const shrink = Math.sqrt((height * width) / (most * square ** 2));
      const fit = (length: number): number => Math.max(square, Math.floor(length / shrink / square) * square);
      // A very long picture would be longer than all rows in one line.
      const longest = most * square;
      return { width: Math.min(longest, fit(width)), height: Math.min(longest, fit(height)) };
    }
    if (across * down < least * square ** 2) {
      const grow = Math.sqrt((least * square ** 2) / (height * width));
      const fit = (length: number): number => Math.ceil((length * grow) / square) * square;
      return { width: fit(width), height: fit(height) };
    }
    return { width: across, height: down };
  }
}

/** The number of tiles whose proportions are nearest to the picture's; of several with the same, as many as its area fills by half. */
function closestGrid({ width, height }: Size, mostTiles: number): Grid {
  const ratio = width / height;
  let best: Grid = { columns: 1, rows: 1 };
  let smallest = Number.POSITIVE_INFINITY;
  for (const grid of grids(mostTiles)) {
    const difference = Math.abs(ratio - grid.columns / grid.rows);
    const area = TILE_SIDE ** 2 * grid.columns * grid.rows;
    if (difference < smallest || (difference === smallest && width * height > 0.5 * area)) best = grid;
    smallest = Math.min(smallest, difference);
  }
  return best;
}

/** Fewest tiles first. */
function grids(mostTiles: number): Grid[] {
  const sides = Array.from({ length: mostTiles }, (_, index) => index + 1);
  return sides
    .flatMap((columns) => sides.map((rows) => ({ columns, rows })))
    .filter(({ columns, rows }) => columns * rows >= LEAST_TILES && columns * rows <= mostTiles)
    .toSorted((a, b) => a.columns * a.rows - b.columns * b.rows);
}

/** As Python rounds: a half goes to the even number. */
function roundTo(length: number, factor: number): number {
  const quotient = length / factor;
  const floor = Math.floor(quotient);
  const isHalf = quotient - floor === 0.5;
  return (isHalf ? floor + (floor % 2) : Math.round(quotient)) * factor;
}

function stretch(image: RgbImage, { width, height }: Size): RgbImage {
  if (image.width === width && image.height === height) return image;
  return { width, height, data: resize(bareCanvas(image), width, height, BILINEAR) };
}

function resizedSteps(from: Size, { width, height }: Size): MediaStep[] {
  if (from.width === width && from.height === height) return [];
  return [{ action: "resized", width, height, filter: "bilinear, antialiased" }];
}
