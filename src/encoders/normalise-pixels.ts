/** Statistics of a model's pictures per channel, of pixels scaled to 0..1. */
export interface ColourStatistics {
  imageMean: readonly [number, number, number];
  imageStd: readonly [number, number, number];
}

/**
 * Interleaved bytes to planes of (level / 255 - mean) / deviation.
 *
 * @param pixels (height, width, 3) uint8
 * @returns (3, height, width) float32
 */
export function normalisePixels(pixels: Uint8Array, { imageMean, imageStd }: ColourStatistics): Float32Array {
  const count = pixels.length / 3;
  const planes = new Float32Array(3 * count);
  for (const channel of [0, 1, 2] as const) {
    const levels = Float32Array.from(
      { length: 256 },
      (_, level) => (level / 255 - imageMean[channel]) / imageStd[channel],
    );
    const plane = planes.subarray(channel * count, (channel + 1) * count);
    for (let index = 0; index < count; index++) {
      plane[index] = levels[pixels[index * 3 + channel] as number] as number;
    }
  }
  return planes;
}
