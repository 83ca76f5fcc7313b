import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { normalisePixels } from "./normalise-pixels.ts";
import { type Canvas, resizeBicubic } from "./resize.ts";

/**
 * LLaVA 1.5's way to the encoder's input: bars of the mean colour make the picture square, the square is scaled to
 * the encoder's size, and the colours are normalised (LLaVA: llava/mm_utils.py expand2square; transformers:
 * CLIPImageProcessor).
 */
export function preprocessForLlava(
  image: RgbImage,
  config: Pick<ClipConfig, "imageSize" | "imageMean" | "imageStd">,
): PreprocessedImage {
  const { imageSize } = config;
  const canvas = expandToSquare(image, config.imageMean);
  const pixels = resizeBicubic(canvas, imageSize, imageSize); // (imageSize, imageSize, 3) uint8
  const steps: MediaStep[] = [];
  if (image.width !== image.height) {
    steps.push({ action: "padded", width: canvas.width, height: canvas.height, colour: canvas.colour });
  }
  if (canvas.width !== imageSize) {
    steps.push({ action: "resized", width: imageSize, height: imageSize, filter: "bicubic, antialiased" });
  }
  return {
    tiles: [normalisePixels(pixels, config)],
    seen: { width: imageSize, height: imageSize },
    steps,
  };
}

/** The picture in the middle of a square as wide as its longer side; the odd pixel goes right or below. */
function expandToSquare(image: RgbImage, mean: readonly [number, number, number]): Canvas {
  const side = Math.max(image.width, image.height);
  return {
    image,
    width: side,
    height: side,
    left: Math.floor((side - image.width) / 2),
    top: Math.floor((side - image.height) / 2),
    colour: [toLevel(mean[0]), toLevel(mean[1]), toLevel(mean[2])],
  };
}

/** LLaVA cuts the fraction off, where others round. */
function toLevel(mean: number): number {
  return Math.min(255, Math.max(0, Math.trunc(mean * 255)));
}
