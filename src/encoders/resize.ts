import type { RgbImage } from "../media/rgb-image.ts";
import { type ResampleFilter, WEIGHT_BITS, bicubicFilter } from "./bicubic-filter.ts";

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

/**
 * Scales to width x height with antialiased bicubic interpolation, bit for bit as Pillow's `Image.resize(size,
 * BICUBIC)` does on 8-bit RGB: columns first, rounded to 8 bits, then rows. Takes (picture rows) x width x 3 bytes
 * of memory.
 *
 * Pillow, src/libImaging/Resample.c.
 */
export function resizeBicubic(canvas: Canvas, width: number, height: number): Uint8Array {
  const narrowed = resizeColumns(canvas, width); // (picture rows, width, 3) uint8
  if (canvas.height === height && canvas.top === 0) return narrowed;
  return resizeRows(canvas, narrowed, width, height); // (height, width, 3) uint8
}

/** All rows of the picture, each with the canvas left and right of it. */
function resizeColumns(canvas: Canvas, width: number): Uint8Array {
  const { image, left } = canvas;
  const filter = canvas.width === width ? undefined : bicubicFilter(canvas.width, width);
  const row = plainRow(canvas.colour, canvas.width); // (canvas.width, 3) uint8
  const result = new Uint8Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    row.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), left * 3);
    if (filter === undefined) result.set(row, y * width * 3);
    else resampleRow(filter, row, result.subarray(y * width * 3, (y + 1) * width * 3));
  }
  return result;
}

function resampleRow(filter: ResampleFilter, row: Uint8Array, result: Uint8Array): void {
  const { first, count, weights, stride } = filter;
  for (let x = 0; x < first.length; x++) {
    const start = x * stride;
    const end = start + (count[x] as number);
    let input = (first[x] as number) * 3;
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    // Sums stay below 2^31, and saying so with `| 0` keeps the loop in integers.
    for (let index = start; index < end; index++) {
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

function resizeRows(canvas: Canvas, narrowed: Uint8Array, width: number, height: number): Uint8Array {
  const { first, count, weights, stride } = bicubicFilter(canvas.height, height);
  const rowBytes = width * 3;
  const background = plainRow(canvas.colour, width);
  const result = new Uint8Array(height * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let index = 0; index < (count[y] as number); index++) {
      const weight = weights[y * stride + index] as number;
      const imageRow = (first[y] as number) + index - canvas.top;
      const inside = imageRow >= 0 && imageRow < canvas.image.height;
      const row = inside ? narrowed.subarray(imageRow * rowBytes, (imageRow + 1) * rowBytes) : background;
      for (let byte = 0; byte < rowBytes; byte++) {
        sums[byte] = (sums[byte] as number) + Math.imul(row[byte] as number, weight);
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
