/** Pixels in reading order. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array; // (height, width, 3) uint8
}

/** Statistics of a model's pictures per channel, of pixels scaled to 0..1. */
export interface PixelStatistics {
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
}

/**
 * A square of a picture as planes of (level / 255 - mean) / deviation.
 *
 * @param left where on the picture the square begins; what lies outside is of one colour
 * @returns (3, side, side) float32
 */
export function normaliseSquare(
  pixels: Pixels,
  { left, top, side }: { left: number; top: number; side: number },
  statistics: PixelStatistics,
  colour?: readonly [number, number, number],
): Float32Array {
  return normaliseRectangle(pixels, { left, top, width: side, height: side }, statistics, colour);
}

/** `normaliseSquare` of any shape. @returns (3, part height, part width) float32 */
export function normaliseRectangle(
  { width, height, data }: Pixels,
  part: { left: number; top: number; width: number; height: number },
  { imageMean, imageStd }: PixelStatistics,
  colour: readonly [number, number, number] = [0, 0, 0],
): Float32Array {
  const { left, top } = part;
  const count = part.width * part.height;
  const planes = new Float32Array(3 * count);
  const firstX = Math.max(0, -left);
  const endX = Math.min(part.width, width - left);
  for (const channel of [0, 1, 2] as const) {
    const levels = Float32Array.from(
      { length: 256 },
      (_, level) => (level / 255 - imageMean[channel]) / imageStd[channel],
    );
    const plane = planes.subarray(channel * count, (channel + 1) * count);
    plane.fill(levels[colour[channel]] as number);
    for (let y = Math.max(0, -top); y < Math.min(part.height, height - top); y++) {
      let pixel = ((y + top) * width + firstX + left) * 3 + channel;
      for (let x = firstX; x < endX; x++) {
        plane[y * part.width + x] = levels[data[pixel] as number] as number;
        pixel += 3;
      }
    }
  }
  return planes;
}

/**
 * A whole picture as planes.
 *
 * @param pixels (height, width, 3) uint8
 * @returns (3, height, width) float32
 */
export function normalisePixels(pixels: Uint8Array, statistics: PixelStatistics): Float32Array {
  // Planes are in the order of the pixels, whatever the width.
  const line = { width: pixels.length / 3, height: 1 };
  return normaliseRectangle({ ...line, data: pixels }, { left: 0, top: 0, ...line }, statistics);
}
