import type { RgbImage } from "../../src/media/rgb-image.ts";

/** A picture of edges and grain that differs with the seed; the same on every machine. */
export function drawnPicture(width: number, height: number, seed = 1): RgbImage {
  const data = new Uint8Array(width * height * 3); // (height, width, 3) uint8
  for (let index = 0; index < data.length; index++) {
    const x = Math.floor(index / 3) % width;
    const y = Math.floor(index / 3 / width);
    const disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (width * height) / (8 + seed) ? 90 : 0;
    data[index] = (index * 89 + ((x * y) % 31) * 5 * seed + x * (1 + (index % 3)) + disc) & 255;
  }
  return { width, height, data };
}

/** A picture of one colour: cheap to make in any size. */
export function plainImage(width: number, height: number): RgbImage {
  return { width, height, data: new Uint8Array(width * height * 3).fill(90) };
}
