import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { normalisePixels } from "./normalise.ts";
import type { PixtralConfig } from "./pixtral-config.ts";
import { resizeBicubic } from "./resize.ts";
import type { RowGrid } from "./row-grid.ts";

interface Size {
  width: number;
  height: number;
}

/**
 * Pixtral's way to the encoder's input: the picture keeps its size unless its longer side is too long, is stretched to
 * the next whole rows, and the colours are normalised (transformers: PixtralImageProcessor).
 *
 * @param limit most rows that it may take
 */
export function preprocessForPixtral(
  image: RgbImage,
  config: Pick<PixtralConfig, "longestEdge" | "factor" | "imageMean" | "imageStd">,
  limit?: number,
): PreprocessedImage {
  const { width, height } = image;
  const { rows, columns } = pixtralGrid(image, config, limit);
  const seen = { width: columns * config.factor, height: rows * config.factor };
  const canvas = { image, width, height, left: 0, top: 0, colour: [0, 0, 0] } as const;
  const pixels = resizeBicubic(canvas, seen.width, seen.height); // (height, width, 3) uint8
  const isResized = width !== seen.width || height !== seen.height;
  const steps: MediaStep[] = isResized
    ? [{ action: "resized", ...seen, filter: "bicubic, antialiased" }]
    : [];
  return {
    tiles: [normalisePixels(pixels, config)],
    tileSize: seen,
    original: { width, height },
    seen,
    steps,
  };
}

/** How the rows of a picture lie on it, without those that end its lines. @param limit most rows, with them */
export function pixtralGrid(
  size: Size,
  { longestEdge, factor }: Pick<PixtralConfig, "longestEdge" | "factor">,
  limit: number = Number.POSITIVE_INFINITY,
): RowGrid {
  const whole = gridInside(size, longestEdge, factor);
  if (pixtralRows(whole) <= limit) return whole;
  // A shorter edge never gives more rows, so that the longest that is short enough is found by halving.
  let [short, long] = [1, Math.min(longestEdge, Math.max(size.width, size.height))];
  while (long - short > 1) {
    const edge = Math.floor((short + long) / 2);
    if (pixtralRows(gridInside(size, edge, factor)) <= limit) short = edge;
    else long = edge;
  }
  return gridInside(size, short, factor);
}

/** Rows of the text model: every line but the last ends with one of its own. */
export function pixtralRows({ rows, columns }: RowGrid): number {
  return rows * (columns + 1) - 1;
}

/** transformers: get_resize_output_image_size. A side that would vanish is one pixel here, where that code fails. */
function gridInside({ width, height }: Size, edge: number, factor: number): RowGrid {
  const ratio = Math.max(1, height / edge, width / edge);
  const rowsOf = (side: number): number => Math.ceil(Math.max(1, Math.floor(side / ratio)) / factor);
  return { rows: rowsOf(height), columns: rowsOf(width) };
}
