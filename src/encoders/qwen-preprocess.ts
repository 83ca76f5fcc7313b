import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { normalisePixels } from "./normalise.ts";
import type { QwenConfig } from "./qwen-config.ts";
import { bareCanvas, resizeBicubic } from "./resize.ts";
import { smartResize } from "./smart-resize.ts";

/**
 * Qwen's way to the encoder's input: the picture is scaled to whole squares of about its own shape, and the colours
 * are normalised (transformers: Qwen2VLImageProcessor).
 *
 * @param limit most rows that it may take
 */
export function preprocessForQwen(
  image: RgbImage,
  config: Pick<QwenConfig, "limits" | "imageMean" | "imageStd">,
  limit?: number,
): PreprocessedImage {
  const { width, height } = image;
  const seen = qwenSize(image, config, limit);
  const pixels = resizeBicubic(bareCanvas(image), seen.width, seen.height); // (height, width, 3) uint8
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

/** Size at which the encoder looks at a picture, in pixels. */
export function qwenSize(
  { width, height }: { width: number; height: number },
  { limits }: Pick<QwenConfig, "limits">,
  limit: number = Number.POSITIVE_INFINITY,
): { width: number; height: number } {
  const maxPixels = Math.min(limits.maxPixels, Math.max(1, limit) * limits.factor ** 2);
  const minPixels = Math.min(limits.minPixels, maxPixels);
  return smartResize({ width, height }, { factor: limits.factor, minPixels, maxPixels });
}
