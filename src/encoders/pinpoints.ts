import type { Gguf } from "../gguf/gguf.ts";
import { MullError } from "../spec/errors.ts";
import type { Size } from "./anyres.ts";

/** LLaVA-NeXT's largest grid has 36 tiles. */
const MOST_TILES = 64;
const MOST_PINPOINTS = 256;

/**
 * `clip.vision.image_grid_pinpoints`: sizes to which pictures are brought before they are cut into tiles, as width,
 * height, width, height, … Empty for a model that does not tile.
 *
 * @param tile side of a tile, in pixels
 * @throws MullError `invalid_model` for sizes that are not whole tiles
 */
export function readPinpoints(gguf: Gguf, tile: number): readonly Size[] {
  const numbers = gguf.numbers("clip.vision.image_grid_pinpoints") ?? [];
  const sizes: Size[] = [];
  for (let index = 0; index + 1 < numbers.length; index += 2) {
    sizes.push({ width: Number(numbers[index]), height: Number(numbers[index + 1]) });
  }
  const valid =
    numbers.length % 2 === 0 &&
    sizes.length <= MOST_PINPOINTS &&
    sizes.every(({ width, height }) => {
      const [across, down] = [width / tile, height / tile];
      const whole = Number.isInteger(across) && Number.isInteger(down) && across >= 1 && down >= 1;
      return whole && across * down <= MOST_TILES;
    });
  if (valid) return sizes;
  throw new MullError(
    "invalid_model",
    `${gguf.path}: "clip.vision.image_grid_pinpoints" are not pairs of multiples of ${tile}, with at most ` +
      `${MOST_TILES} tiles each.`,
    { hint: "Convert the model again; its header contradicts itself." },
  );
}
