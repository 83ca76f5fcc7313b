import type { RgbImage } from "../media/rgb-image.ts";
import type { Size } from "./anyres.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import type { PicturePart } from "./picture-layout.ts";

/** How a LLaVA model looks at a picture: as which squares of pixels, and how the rows of these stand in the prompt. */
export interface LlavaView {
  /** In words: part of the key of cached rows. */
  readonly preprocessing: string;
  /** @param limit most rows, if it can be done with fewer tiles */
  layout(width: number, height: number, limit?: number): readonly PicturePart[];
  preprocess(image: RgbImage, limit?: number): PreprocessedImage;
  /** Rows of all tiles, one tile after the other, to those of the prompt. */
  arrange(rows: Float32Array, picture: PreprocessedImage): Float32Array; // (rows, embeddingLength) float32
}

/** What decides about a view. */
export interface ViewInput {
  config: ClipConfig;
  /** Rows on a side of a tile, behind the projector. */
  side: number;
  /** Width of a row. */
  embeddingLength: number;
}

/** A picture that is a single tile: its rows can be merged with their neighbours. */
export function oneTile({ side }: Pick<ViewInput, "side">): PicturePart {
  return { rows: side ** 2, grid: { rows: side, columns: side } };
}

/** Tiles of a picture of this size. */
export function tileCount({ width, height }: Size, tile: number): number {
  return (width / tile) * (height / tile);
}
