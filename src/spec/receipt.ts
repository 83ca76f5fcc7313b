/**
 * The media receipt: what the model really saw of one attachment.
 *
 * Whoever changes pixels says so here, in the order in which it happened: first the decoder (rotation, alpha,
 * colour), then the encoder (padding, resizing, tokens). Nothing is dropped without a step that names it.
 */
export interface MediaReceipt {
  kind: "image";
  /** Name of the attachment: its path, or "image 1". */
  name: string;
  /** Container format as sniffed from the bytes: "png", "jpeg", "webp", "gif", "avif", "tiff", "svg". */
  format: string;
  /** Size of the encoded file, in bytes. */
  bytes: number;
  /** SHA-256 of the encoded file, 64 hex digits. */
  sha256: string;
  /** Size as stored in the file, in pixels, before any rotation. */
  original: { width: number; height: number };
  /** What was done to it, in order. */
  steps: readonly MediaStep[];
  /** Size of the pixels that the encoder was given, after all steps. Absent when only inspected. */
  seen?: { width: number; height: number };
  /** Rows of the context that it takes. Absent when no model was asked. */
  tokens?: number;
  /** True when its rows, or the KV state over them, were already there and nothing was encoded. */
  cached?: boolean;
  /**
   * Where it was found: `context` in the KV cache of this process, `snapshot` in a KV snapshot on disk,
   * `rows` as encoded rows in memory or on disk.
   */
  cachedIn?: "context" | "snapshot" | "rows";
}

/** One thing that was done to a picture on its way to the model. Sizes in pixels. */
export type MediaStep =
  /** EXIF orientation 2 to 8 was applied. */
  | { action: "oriented"; exif: number; width: number; height: number }
  /** An animation or multi-page file: only this frame (from 0) of `of` was used. */
  | { action: "first-frame"; frame: number; of: number }
  /** Transparency was laid on this colour. */
  | { action: "flattened"; background: readonly [number, number, number] }
  /** Pixels were converted to 8-bit sRGB from what is named, such as "cmyk", "16-bit", "grey". */
  | { action: "converted"; from: string }
  /** A vector picture was drawn at this size. */
  | { action: "rasterised"; width: number; height: number }
  /** A part of the file that was left out on purpose, such as "2 external references". */
  | { action: "omitted"; what: string }
  /** Bars of one colour were added around the picture; `width` x `height` is the result. */
  | { action: "padded"; width: number; height: number; colour: readonly [number, number, number] }
  /** Pixels were cut away; `width` x `height` is what is left. */
  | { action: "cropped"; width: number; height: number }
  /** The picture was scaled to this size by this filter, such as "bicubic, antialiased". */
  | { action: "resized"; width: number; height: number; filter: string }
  /**
   * It was cut into `columns` x `rows` tiles of `width` x `height`. With `overview`, the whole picture, stretched to
   * one tile, goes with them.
   */
  | { action: "tiled"; columns: number; rows: number; width: number; height: number; overview: boolean }
  /** From here on it was seen as this program shows pictures to the model, not as the model's own code does. */
  | { action: "compat"; with: string }
  /** Experimental: `of` rows of the encoder were merged into `tokens` by this method, such as "grid average". */
  | { action: "merged"; tokens: number; of: number; method: string };
