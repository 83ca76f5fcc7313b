import type { PictureStyle } from "../chat/build-prompt.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { PicturePart } from "./picture-layout.ts";
import type { MediaStep } from "../spec/receipt.ts";

/**
 * What every family of vision encoder offers the engine: pixels in, rows of the text model's width out.
 * One picture may become several tiles; their rows come back in the order in which the text model reads them.
 */
export interface ImageEncoder {
  /** Projector type as the GGUF names it: "mlp", "linear". */
  readonly projector: string;
  /** Side of the square that a picture (or tile) is brought to, or, of any size, a usual one, in pixels. */
  readonly imageSize: number;
  /** Width of a row: must equal what the text model takes as input. */
  readonly embeddingLength: number;
  /** Type that the weights were re-quantised to: "f32", "f16", "bf16", "q8_0". */
  readonly precision: string;
  /** Whether the text model lets every row of a part see all others of it (Gemma 3). Default: only those before. */
  readonly rowsSeeEachOther?: boolean;
  /** Most rows of one part; the text model reads those in one piece that see each other. */
  readonly mostRows?: number;
  /** How messages with pictures are written. Default: as LLaVA has it. */
  readonly pictureStyle?: PictureStyle;
  /**
   * How a picture of this size stands in the prompt. Known without encoding it, so that overflow is found first.
   *
   * @param limit most rows that it may take. Families that can look at a smaller picture, or at fewer tiles, do; all
   *   others ignore it, and their rows are merged.
   */
  layout(width: number, height: number, limit?: number): readonly PicturePart[];
  /** What `preprocess` does, in words: part of the key of cached rows. */
  readonly preprocessing: string;
  /** Pure: pixels to model input, and what was done to them on the way. Touches no native code. @param limit as of `layout` */
  preprocess(image: RgbImage, limit?: number): PreprocessedImage;
  /**
   * Encoder and projector. Keeps the event loop free while native code computes; pictures are encoded one after the
   * other, in the order of the calls.
   * @throws MullError `aborted` soon after `signal` fires; `out_of_memory`
   */
  encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array>; // (rows of all parts, embeddingLength) float32
  /** Frees weights and buffers once the pictures in progress are done. */
  close(): Promise<void>;
}

export interface PreprocessedImage {
  /** One entry per tile: planes of (3, height, width) float32, normalised by mean and deviation. */
  tiles: readonly Float32Array[];
  /** Of a tile, in pixels; undefined: `imageSize` both ways. */
  tileSize?: { width: number; height: number };
  /** Of each tile, in pixels, where they differ. */
  tileSizes?: readonly { width: number; height: number }[];
  /** Of the picture, in pixels. */
  original?: { width: number; height: number };
  /** Size of the pixels the encoder sees, over all tiles. */
  seen: { width: number; height: number };
  steps: readonly MediaStep[];
}
