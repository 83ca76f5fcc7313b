import { MullError } from "../spec/errors.ts";

/** Everything that bounds what one attachment may cost. Each can be set; the defaults are in `DEFAULT_MEDIA_LIMITS`. */
export interface MediaLimits {
  /** Size of an encoded file. */
  fileBytes: number;
  /** Size of an SVG: a program that draws rather than a picture, so a small file can cost much time. */
  svgBytes: number;
  /** Width x height by the header, for formats that are decoded row by row. */
  pixels: number;
  /** Width x height by the header, for formats that are decoded as a whole. */
  wholePixels: number;
  /** Pixels that leave the media process; a larger picture is scaled down to it, and its receipt says so. */
  outputPixels: number;
  /** Writable memory of the media process. */
  memoryBytes: number;
  /** Wall-clock time of one decode. */
  milliseconds: number;
}

export const DEFAULT_MEDIA_LIMITS: MediaLimits = {
  // A 50-megapixel camera JPEG has 20 MB, a 64-megapixel PNG screenshot or scan about 60 MB.
  fileBytes: 64 * 1024 ** 2,
  // Maps and traced drawings reach 2 or 3 MB.
  svgBytes: 4 * 1024 ** 2,
  // Over the 50 megapixels of current phones and below the 268 at which decoders themselves give up.
  pixels: 64e6,
  // Progressive JPEG, interlaced PNG, WebP, AVIF and GIF keep 4 to 12 bytes per pixel until the last row.
  wholePixels: 25e6,
  // 75 MB of RGB: the largest common photo (24 megapixels) passes unscaled. No encoder looks at more.
  outputPixels: 25e6,
  // Measured peaks within the pixel limits: AVIF 610 MB, WebP 580 MB, interlaced PNG 370 MB, camera JPEG 310 MB.
  memoryBytes: 768 * 1024 ** 2,
  // The slowest file measured, a rotated 63-megapixel PNG of 16 bits, takes 4 to 7 s on one busy core.
  milliseconds: 20_000,
};

/**
 * The default limits with the caller's changes.
 * @throws MullError invalid_argument for a value that is not a positive number, or an unknown name
 */
export function mediaLimits(changes: Partial<MediaLimits> = {}): MediaLimits {
  for (const [name, value] of Object.entries(changes)) {
    if (!(name in DEFAULT_MEDIA_LIMITS)) {
      throw new MullError("invalid_argument", `There is no media limit named "${name}".`, {
        hint: `Known limits: ${Object.keys(DEFAULT_MEDIA_LIMITS).join(", ")}.`,
      });
    }
    if (!(typeof value === "number" && Number.isFinite(value) && value > 0)) {
      throw new MullError(
        "invalid_argument",
        `The media limit "${name}" must be a positive number, not ${value}.`,
      );
    }
  }
  return { ...DEFAULT_MEDIA_LIMITS, ...changes };
}
