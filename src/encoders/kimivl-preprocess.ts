import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import type { KimiVlConfig } from "./kimivl-config.ts";
import { normalisePixels } from "./normalise.ts";
import { resizeBicubic } from "./resize.ts";
import type { RowGrid } from "./row-grid.ts";

interface Size {
  width: number;
  height: number;
}

type Config = Pick<KimiVlConfig, "patchSize" | "factor" | "mostPatches" | "imageMean" | "imageStd">;

const BLACK = [0, 0, 0] as const;
/** MoonViT's positions end here; its own code refuses what is longer. */
const MOST_PATCHES_PER_SIDE = 510;

/**
 * Kimi-VL's way to the encoder's input: a picture of too many patches is made smaller, black bars at the right and below
 * fill up the last rows, and the colours are normalised (KimiVLImageProcessor with pad_input).
 *
 * @param limit most rows that it may take
 */
export function preprocessForKimiVl(image: RgbImage, config: Config, limit?: number): PreprocessedImage {
  const { width, height } = image;
  const inside = sizeInside(image, config, limit);
  const grid = gridOf(inside, config.factor);
  const seen = { width: grid.columns * config.factor, height: grid.rows * config.factor };
  const canvas = { image, width, height, left: 0, top: 0, colour: BLACK };
  const pixels = resizeBicubic(canvas, inside.width, inside.height); // (inside height, inside width, 3) uint8
  const steps: MediaStep[] = [];
  if (width !== inside.width || height !== inside.height) {
    steps.push({ action: "resized", ...inside, filter: "bicubic, antialiased" });
  }
  if (seen.width !== inside.width || seen.height !== inside.height) {
    steps.push({ action: "padded", ...seen, colour: BLACK });
  }
  return {
    tiles: [normalisePixels(padded(pixels, inside, seen), config)],
    tileSize: seen,
    original: { width, height },
    seen,
    steps,
  };
}

/** How the rows of a picture lie on it. @param limit most rows */
export function kimiVlGrid(
  size: Size,
  config: Omit<Config, "imageMean" | "imageStd">,
  limit?: number,
): RowGrid {
  return gridOf(sizeInside(size, config, limit), config.factor);
}

function gridOf({ width, height }: Size, factor: number): RowGrid {
  return { rows: Math.ceil(height / factor), columns: Math.ceil(width / factor) };
}

function sizeInside(
  { width, height }: Size,
  { patchSize, factor, mostPatches }: Omit<Config, "imageMean" | "imageStd">,
  limit: number = Number.POSITIVE_INFINITY,
): Size {
  const patches = Math.floor(width / patchSize) * Math.floor(height / patchSize);
  const scaled = (scale: number): Size => ({
    width: Math.max(1, Math.trunc(width * scale)),
    height: Math.max(1, Math.trunc(height * scale)),
  });
  const longest = (MOST_PATCHES_PER_SIDE * patchSize) / Math.max(width, height);
  const scale = Math.min(1, longest, patches > mostPatches ? Math.sqrt(mostPatches / patches) : 1);
  const fits = (some: number): boolean => {
    const { rows, columns } = gridOf(scaled(some), factor);
    return rows * columns <= limit;
  };
  if (fits(scale)) return scaled(scale);
  // A smaller scale never gives more rows, so that the largest that is small enough is found by halving.
  let [small, large] = [0, scale];
  for (let step = 0; step < 40; step++) {
    const middle = (small + large) / 2;
    if (fits(middle)) small = middle;
    else large = middle;
  }
  return scaled(small);
}

/** @returns (whole height, whole width, 3) uint8 */
function padded(pixels: Uint8Array, { width, height }: Size, whole: Size): Uint8Array {
  if (width === whole.width && height === whole.height) return pixels;
  const result = new Uint8Array(whole.width * whole.height * 3);
  for (let y = 0; y < height; y++) {
    result.set(pixels.subarray(y * width * 3, (y + 1) * width * 3), y * whole.width * 3);
  }
  return result;
}
