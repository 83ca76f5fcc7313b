import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
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
    tiles: [normalise(pixels, imageSize, config)],
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

/** Interleaved bytes to planes of (level / 255 - mean) / deviation. */
function normalise(
  pixels: Uint8Array, // (side, side, 3) uint8
  side: number,
  { imageMean, imageStd }: Pick<ClipConfig, "imageMean" | "imageStd">,
): Float32Array {
  const planes = new Float32Array(3 * side * side); // (3, side, side) float32
  for (const channel of [0, 1, 2] as const) {
    const levels = Float32Array.from(
      { length: 256 },
      (_, level) => (level / 255 - imageMean[channel]) / imageStd[channel],
    );
    const plane = planes.subarray(channel * side * side, (channel + 1) * side * side);
    for (let index = 0; index < plane.length; index++) {
      plane[index] = levels[pixels[index * 3 + channel] as number] as number;
    }
  }
  return planes;
}
