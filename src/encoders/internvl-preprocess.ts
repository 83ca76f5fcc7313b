import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import type { InternVlConfig } from "./internvl-config.ts";
import { chooseTileGrid } from "./internvl-tiles.ts";
import { normaliseSquare } from "./normalise.ts";
import { resizeBicubic } from "./resize.ts";
import type { RowGrid } from "./row-grid.ts";

type Config = Pick<
  InternVlConfig,
  "imageSize" | "rowsPerTile" | "minTiles" | "maxTiles" | "imageMean" | "imageStd"
>;

/**
 * InternVL's way to the encoder's input: the picture is stretched to a grid of square tiles, which come in reading
 * order; if there are several, the whole picture, stretched to one tile, comes last (OpenGVLab/InternVL:
 * internvl/train/dataset.py dynamic_preprocess with a thumbnail, build_transform).
 *
 * @param limit most rows that it may take
 */
export function preprocessForInternVl(image: RgbImage, config: Config, limit?: number): PreprocessedImage {
  const { imageSize: side } = config;
  const { rows, columns } = internVlGrid(image, config, limit);
  const seen = { width: columns * side, height: rows * side };
  const grid = stretch(image, seen.width, seen.height);
  const tiles = Array.from({ length: rows * columns }, (_, tile) => {
    const [left, top] = [(tile % columns) * side, Math.floor(tile / columns) * side];
    return normaliseSquare(grid, { left, top, side }, config); // (3, side, side) float32
  });
  const steps: MediaStep[] = [];
  if (image.width !== seen.width || image.height !== seen.height) {
    steps.push({ action: "resized", ...seen, filter: "bicubic, antialiased" });
  }
  if (tiles.length > 1) {
    tiles.push(normaliseSquare(stretch(image, side, side), { left: 0, top: 0, side }, config));
    steps.push({ action: "tiled", columns, rows, width: side, height: side, overview: true });
  }
  return { tiles, original: { width: image.width, height: image.height }, seen, steps };
}

/** @param limit most rows, those of the whole picture's tile among them */
export function internVlGrid(
  size: { width: number; height: number },
  config: Pick<InternVlConfig, "imageSize" | "rowsPerTile" | "minTiles" | "maxTiles">,
  limit: number = Number.POSITIVE_INFINITY,
): RowGrid {
  const views = Math.floor(limit / config.rowsPerTile);
  const maxTiles = Math.max(1, Math.min(config.maxTiles, views - 1));
  return chooseTileGrid(size, { ...config, maxTiles, minTiles: Math.min(config.minTiles, maxTiles) });
}

function stretch(image: RgbImage, width: number, height: number): RgbImage {
  const canvas = { image, width: image.width, height: image.height, left: 0, top: 0 };
  return { width, height, data: resizeBicubic({ ...canvas, colour: [0, 0, 0] }, width, height) };
}
