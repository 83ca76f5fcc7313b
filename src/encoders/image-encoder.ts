import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";

/**
 * What every family of vision encoder offers the engine: pixels in, rows of the text model's width out.
 * One picture may become several tiles; their rows come back in the order in which the text model reads them.
 */
export interface ImageEncoder {
  /** Projector type as the GGUF names it: "mlp", "linear". */
  readonly projector: string;
  /** Side of the square that a picture (or tile) is brought to, in pixels. */
  readonly imageSize: number;
  /** Width of a row: must equal the text model's embedding length. */
  readonly embeddingLength: number;
  /** Type that the weights were re-quantised to: "f32", "f16", "bf16", "q8_0". */
  readonly precision: string;
  /** Rows that one picture of this size takes. Known without encoding it, so that overflow is found first. */
  countTokens(width: number, height: number): number;
  /** What `preprocess` does, in words: part of the key of cached rows. */
  readonly preprocessing: string;
  /** How the rows of one picture lie on it, in raster order; undefined if they form no grid. */
  grid(width: number, height: number): { rows: number; columns: number } | undefined;
  /** Pure: pixels to model input, and what was done to them on the way. Touches no native code. */
  preprocess(image: RgbImage): PreprocessedImage;
  /**
   * Encoder and projector. Keeps the event loop free while native code computes; pictures are encoded one after the
   * other, in the order of the calls.
   * @throws MullError `aborted` soon after `signal` fires; `out_of_memory`
   */
  encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array>; // (tokens, embeddingLength) float32
  /** Frees weights and buffers once the pictures in progress are done. */
  close(): Promise<void>;
}

export interface PreprocessedImage {
  /** One entry per tile: (3, imageSize, imageSize) float32, normalised by mean and deviation. */
  tiles: readonly Float32Array[];
  /** Size of the pixels the encoder sees, over all tiles. */
  seen: { width: number; height: number };
  steps: readonly MediaStep[];
}
