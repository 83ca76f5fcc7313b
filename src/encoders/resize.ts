import type { RgbImage } from "../media/rgb-image.ts";
import { type ResampleFilter, type Span, WEIGHT_BITS, resampleFilter } from "./resample-filter.ts";
import { BICUBIC, type ResampleKernel } from "./resample-kernels.ts";

/** A picture that lies on a larger area of one colour. The area is never stored: it may be huge. */
export interface Canvas {
  image: RgbImage;
  /** Size of the area, in pixels. */
  width: number;
  height: number;
  /** Where on it the picture lies. */
  left: number;
  top: number;
  colour: readonly [number, number, number];
}

/** A rectangle of a picture, in pixels. */
export interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A picture and nothing around it. */
export function bareCanvas(image: RgbImage): Canvas {
  return { image, width: image.width, height: image.height, left: 0, top: 0, colour: [0, 0, 0] };
}

/**
 * Scales to width x height with antialiased interpolation, bit for bit as Pillow's `Image.resize(size, kernel)` does on
 * 8-bit RGB: columns first, rounded to 8 bits, then rows. Takes (picture rows) x width x 3 bytes of memory.
 *
 * Pillow, src/libImaging/Resample.c.
 *
 * @param window the part of the result that is wanted; the rest is not computed. Default: all
 * @returns (window height, window width, 3) uint8
 */
export function resize(
  canvas: Canvas,
  width: number,
  height: number,
  kernel: ResampleKernel,
  window?: Window,
): Uint8Array {
  const across = window && { start: window.left, length: window.width };
  const down = window && { start: window.top, length: window.height };
  const narrowed = resizeColumns(canvas, width, kernel, across); // (picture rows, window width, 3) uint8
  if (window === undefined && canvas.height === height && canvas.image.height === height) return narrowed;
  return resizeRows(canvas, narrowed, { width: window?.width ?? width, height, kernel, window: down });
}

export function resizeBicubic(canvas: Canvas, width: number, height: number, window?: Window): Uint8Array {
  return resize(canvas, width, height, BICUBIC, window);
}

/** All rows of the picture, each with the canvas left and right of it. */
function resizeColumns(canvas: Canvas, width: number, kernel: ResampleKernel, window?: Span): Uint8Array {
  const { image, colour, left } = canvas;
  if (canvas.width === width && window === undefined) return widenRows(canvas);
  const filter = resampleFilter(kernel, canvas.width, width, { start: left, length: image.width }, window);
  const rowBytes = filter.first.length * 3;
  const result = new Uint8Array(image.height * rowBytes);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    resampleRow(filter, row, colour, result.subarray(y * rowBytes, (y + 1) * rowBytes));
  }
  return result;
}

function widenRows({ image, colour, left, width }: Canvas): Uint8Array {
  const row = plainRow(colour, width);
  const result = new Uint8Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    row.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), left * 3);
    result.set(row, y * width * 3);
  }
  return result;
}

function resampleRow(
  { first, count, start, weights, outside }: ResampleFilter,
  row: Uint8Array,
  colour: readonly [number, number, number],
  result: Uint8Array,
): void {
  for (let x = 0; x < first.length; x++) {
    const begin = start[x] as number;
    const end = begin + (count[x] as number);
    const weightOutside = outside[x] as number;
    let input = (first[x] as number) * 3;
    let red = HALF + colour[0] * weightOutside;
    let green = HALF + colour[1] * weightOutside;
    let blue = HALF + colour[2] * weightOutside;
    // Sums stay below 2^31, and saying so with `| 0` keeps the loop in integers.
    for (let index = begin; index < end; index++) {
      const weight = weights[index] as number;
      red = (red + Math.imul(row[input] as number, weight)) | 0;
      green = (green + Math.imul(row[input + 1] as number, weight)) | 0;
      blue = (blue + Math.imul(row[input + 2] as number, weight)) | 0;
      input += 3;
    }
    result[x * 3] = toByte(red);
    result[x * 3 + 1] = toByte(green);
    result[x * 3 + 2] = toByte(blue);
  }
}

function resizeRows(
  canvas: Canvas,
  narrowed: Uint8Array,
  {
    width,
    height,
    kernel,
    window,
  }: { width: number; height: number; kernel: ResampleKernel; window: Span | undefined },
): Uint8Array {
  const span = { start: canvas.top, length: canvas.image.height };
  const filter = resampleFilter(kernel, canvas.height, height, span, window);
  const { first, count, start, weights, outside } = filter;
  const rowBytes = width * 3;
  const result = new Uint8Array(first.length * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < first.length; y++) {
    for (let byte = 0; byte < rowBytes; byte++) {
      sums[byte] = HALF + canvas.colour[(byte % 3) as 0 | 1 | 2] * (outside[y] as number);
    }
    for (let index = 0; index < (count[y] as number); index++) {
      const weight = weights[(start[y] as number) + index] as number;
      const row = ((first[y] as number) + index) * rowBytes;
      for (let byte = 0; byte < rowBytes; byte++) {
        sums[byte] = (sums[byte] as number) + Math.imul(narrowed[row + byte] as number, weight);
      }
    }
    for (let byte = 0; byte < rowBytes; byte++) result[y * rowBytes + byte] = toByte(sums[byte] as number);
  }
  return result;
}

/** Added before the bits behind the point are cut off, so that the result is rounded. */
const HALF = 2 ** (WEIGHT_BITS - 1);

/** Negative lobes of the cubic overshoot at edges. */
function toByte(sum: number): number {
  return Math.min(255, Math.max(0, sum >> WEIGHT_BITS));
}

function plainRow(colour: readonly [number, number, number], width: number): Uint8Array {
  const row = new Uint8Array(width * 3);
  for (let index = 0; index < row.length; index++) row[index] = colour[(index % 3) as 0 | 1 | 2];
  return row;
}
