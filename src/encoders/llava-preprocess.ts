import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { normaliseSquare } from "./normalise.ts";
import { type Canvas, bareCanvas, resizeBicubic } from "./resize.ts";

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
    tiles: [
      normaliseSquare(
        { width: imageSize, height: imageSize, data: pixels },
        { left: 0, top: 0, side: imageSize },
        config,
      ),
    ],
    original: { width: image.width, height: image.height },
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

/**
 * CLIP's way, which LLaVA 1.0 went: the shorter side is scaled to the encoder's size, and the square in the middle is
 * what is seen (transformers: CLIPImageProcessor).
 */
export function cropForClip(
  image: RgbImage,
  config: Pick<ClipConfig, "imageSize" | "imageMean" | "imageStd">,
): PreprocessedImage {
  const { imageSize: side } = config;
  const shorter = Math.min(image.width, image.height);
  const scaled = (length: number): number =>
    length === shorter ? side : Math.trunc((side * length) / shorter);
  const [width, height] = [scaled(image.width), scaled(image.height)];
  const window = {
    left: Math.floor((width - side) / 2),
    top: Math.floor((height - side) / 2),
    width: side,
    height: side,
  };
  const data = resizeBicubic(bareCanvas(image), width, height, window); // (side, side, 3) uint8
  const steps: MediaStep[] = [];
  if (shorter !== side) steps.push({ action: "resized", width, height, filter: "bicubic, antialiased" });
  if (width !== height) steps.push({ action: "cropped", width: side, height: side });
  return {
    tiles: [normaliseSquare({ width: side, height: side, data }, { left: 0, top: 0, side }, config)],
    original: { width: image.width, height: image.height },
    seen: { width: side, height: side },
    steps,
  };
}
