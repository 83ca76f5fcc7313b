import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import { type RowWindow, type Size, selectBestResolution, sizeInside, unpadded } from "./anyres.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { type LlavaView, type ViewInput, oneTile, tileCount } from "./llava-view.ts";
import { normaliseSquare } from "./normalise.ts";
import type { PicturePart } from "./picture-layout.ts";
import { bareCanvas, resizeBicubic } from "./resize.ts";

/**
 * How the tiles' rows are joined: `flat`, one tile after the other; `spatial`, line by line over all tiles;
 * `spatial_unpad`, that without the bars around the picture, and a newline behind every line.
 */
export type MergeType = "flat" | "spatial" | "spatial_unpad";

export interface AnyresOptions {
  pinpoints: readonly Size[];
  merge: MergeType;
  /** Of files without one, lines end without it. */
  newline?: Float32Array | undefined; // (embeddingLength) float32
}

const BLACK = [0, 0, 0] as const;

/**
 * LLaVA 1.6's view: the whole picture stretched to a tile, and, behind it, the picture in tiles at the best of the
 * resolutions that the model was trained with.
 *
 * LLaVA: llava/mm_utils.py process_anyres_image, llava/model/llava_arch.py prepare_inputs_labels_for_multimodal.
 */
export class AnyresView implements LlavaView {
  readonly preprocessing: string;
  readonly #input: ViewInput;
  readonly #options: AnyresOptions;

  constructor(input: ViewInput, options: AnyresOptions) {
    this.#input = input;
    this.#options = options;
    const sizes = options.pinpoints.map(({ width, height }) => `${width}x${height}`).join(" ");
    const newline = options.newline === undefined ? "no newline" : "newline";
    this.preprocessing =
      `LLaVA 1.6: stretched overview, tiles with black bars of ${sizes}, bicubic as Pillow 10, normalised; ` +
      `${options.merge}, ${newline}`;
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const original = { width, height };
    const size = this.#choose(original, limit);
    return size === undefined ? [oneTile(this.#input)] : [{ rows: this.#rows(original, size) }];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    const { config } = this.#input;
    const side = config.imageSize;
    const original = { width: image.width, height: image.height };
    const pixels = resizeBicubic(bareCanvas(image), side, side); // (side, side, 3) uint8
    const overview = normaliseSquare(
      { width: side, height: side, data: pixels },
      { left: 0, top: 0, side },
      config,
    );
    const size = this.#choose(original, limit);
    if (size === undefined) {
      const seen = { width: side, height: side };
      return { tiles: [overview], original, seen, steps: resizedSteps(original, seen) };
    }
    const inside = sizeInside(original, size);
    return {
      tiles: [overview, ...cutTiles(image, inside, size, this.#input)],
      original,
      seen: size,
      steps: [...resizedSteps(original, inside), ...tiledSteps(inside, size, side)],
    };
  }

  arrange(rows: Float32Array, { seen, original, tiles }: PreprocessedImage): Float32Array {
    const { side, embeddingLength } = this.#input;
    const { merge, newline } = this.#options;
    // One tile is the overview alone.
    if (tiles.length === 1 || merge === "flat") return rows;
    const base = side ** 2;
    const window = this.#window(original ?? seen, seen);
    const acrossTiles = seen.width / this.#input.config.imageSize;
    const arranged = new Float32Array(this.#rows(original ?? seen, seen) * embeddingLength);
    arranged.set(rows.subarray(0, base * embeddingLength));
    let target = base;
    for (let y = window.top; y < window.top + window.rows; y++) {
      for (let x = window.left; x < window.left + window.columns; x++) {
        const tile = 1 + Math.floor(y / side) * acrossTiles + Math.floor(x / side);
        const source = tile * base + (y % side) * side + (x % side);
        const row = rows.subarray(source * embeddingLength, (source + 1) * embeddingLength);
        arranged.set(row, target++ * embeddingLength);
      }
      if (merge === "spatial_unpad" && newline !== undefined) {
        arranged.set(newline, target++ * embeddingLength);
      }
    }
    return arranged;
  }

  /** Undefined: not even the smallest number of tiles is within the limit. */
  #choose(original: Size, limit: number | undefined): Size | undefined {
    const { pinpoints } = this.#options;
    const fitting =
      limit === undefined ? pinpoints : pinpoints.filter((size) => this.#rows(original, size) <= limit);
    return selectBestResolution(original, fitting);
  }

  /** Rows of overview and tiles. */
  #rows(original: Size, size: Size): number {
    const { side, config } = this.#input;
    const { merge, newline } = this.#options;
    if (merge === "flat") return side ** 2 * (1 + tileCount(size, config.imageSize));
    const { rows, columns } = this.#window(original, size);
    return side ** 2 + rows * (columns + (merge === "spatial_unpad" && newline !== undefined ? 1 : 0));
  }

  #window(original: Size, size: Size): RowWindow {
    const { side, config } = this.#input;
    const grid = {
      width: (size.width / config.imageSize) * side,
      height: (size.height / config.imageSize) * side,
    };
    return this.#options.merge === "spatial_unpad"
      ? unpadded(grid, original)
      : { left: 0, top: 0, rows: grid.height, columns: grid.width };
  }
}

/** The picture in the middle of a black area, cut into tiles: (3, side, side) float32 each, row by row. */
export function cutTiles(
  image: RgbImage,
  inside: Size,
  { width, height }: Size,
  { config }: Pick<ViewInput, "config">,
): Float32Array[] {
  const side = config.imageSize;
  const data = resizeBicubic(bareCanvas(image), inside.width, inside.height); // (inside height, inside width, 3) uint8
  const left = Math.floor((width - inside.width) / 2);
  const top = Math.floor((height - inside.height) / 2);
  const tiles: Float32Array[] = [];
  for (let y = 0; y < height; y += side) {
    for (let x = 0; x < width; x += side) {
      tiles.push(normaliseSquare({ ...inside, data }, { left: x - left, top: y - top, side }, config, BLACK));
    }
  }
  return tiles;
}

export function resizedSteps(original: Size, { width, height }: Size): MediaStep[] {
  if (original.width === width && original.height === height) return [];
  return [{ action: "resized", width, height, filter: "bicubic, antialiased" }];
}

/** What `cutTiles` did, behind an overview of one tile. */
export function tiledSteps(inside: Size, { width, height }: Size, side: number): MediaStep[] {
  const padded = inside.width !== width || inside.height !== height;
  return [
    ...(padded ? [{ action: "padded", width, height, colour: BLACK } as const] : []),
    {
      action: "tiled",
      columns: width / side,
      rows: height / side,
      width: side,
      height: side,
      overview: true,
    },
  ];
}
