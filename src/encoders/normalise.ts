import type { ClipConfig } from "./clip-config.ts";

/** Pixels in reading order. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array; // (height, width, 3) uint8
}

export type PixelStatistics = Pick<ClipConfig, "imageMean" | "imageStd">;

/**
 * A square of a picture as planes of (level / 255 - mean) / deviation.
 *
 * @param left where on the picture the square begins; what lies outside is of one colour
 * @returns (3, side, side) float32
 */
export function normaliseSquare(
  { width, height, data }: Pixels,
  { left, top, side }: { left: number; top: number; side: number },
  { imageMean, imageStd }: PixelStatistics,
  colour: readonly [number, number, number] = [0, 0, 0],
): Float32Array {
  const planes = new Float32Array(3 * side * side);
  const firstX = Math.max(0, -left);
  const endX = Math.min(side, width - left);
  for (const channel of [0, 1, 2] as const) {
    const levels = Float32Array.from(
      { length: 256 },
      (_, level) => (level / 255 - imageMean[channel]) / imageStd[channel],
    );
    const plane = planes.subarray(channel * side * side, (channel + 1) * side * side);
    plane.fill(levels[colour[channel]] as number);
    for (let y = Math.max(0, -top); y < Math.min(side, height - top); y++) {
      let pixel = ((y + top) * width + firstX + left) * 3 + channel;
      for (let x = firstX; x < endX; x++) {
        plane[y * side + x] = levels[data[pixel] as number] as number;
        pixel += 3;
      }
    }
  }
  return planes;
}
