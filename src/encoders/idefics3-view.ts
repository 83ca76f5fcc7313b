import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { MullError } from "../spec/errors.ts";
import type { MediaStep } from "../spec/receipt.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { type PixelStatistics, normaliseSquare } from "./normalise.ts";
import type { PicturePart } from "./picture-layout.ts";
import { LANCZOS } from "./resample-kernels.ts";
import { bareCanvas, resize } from "./resize.ts";

interface Size {
  width: number;
  height: number;
}

/** How a picture becomes tiles. */
interface Cut {
  /** Its longer side as the header wants it. */
  scaled: Size;
  /** Whole tiles, which changes the proportions a little. */
  stretched: Size;
  rows: number;
  columns: number;
}

export interface Idefics3ViewOptions extends PixelStatistics {
  /** Side of a tile, in pixels. */
  side: number;
  /** Length to which a picture's longer side is brought before it is cut. */
  longestEdge: number;
  /** Rows of the encoder for one tile. */
  tileRows: number;
}

/** Tiles along the longer side of a picture, of files that do not say it: as of every published model. */
const USUAL_TILES = 4;
/** More would be no picture but an attack on memory: published models have 4. */
const MOST_TILES = 16;
/** Of a picture, before it is cut, whatever the header says. */
const LONGEST = 4096;
const FAKE = "<fake_token_around_image>";

/**
 * Idefics3's and SmolVLM's view of a picture: tiles of it in reading order, then the whole of it as one more tile.
 * Transformers: Idefics3ImageProcessor and Idefics3Processor, whose three resizes one after the other, each rounded to
 * 8 bits, are all done.
 */
export class Idefics3View {
  readonly #options: Idefics3ViewOptions;

  constructor(options: Idefics3ViewOptions) {
    this.#options = options;
  }

  /** @param limit rows; fewer tiles are made of a picture that would take more */
  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const { tileRows } = this.#options;
    const side = Math.sqrt(tileRows);
    const { rows, columns } = this.#cut({ width, height }, limit);
    if (rows * columns === 1) {
      const grid = { rows: side, columns: side };
      return [{ text: `${FAKE}<global-img>` }, { rows: tileRows, grid }, { text: FAKE }];
    }
    const parts: PicturePart[] = [];
    let text = "";
    for (let row = 1; row <= rows; row++) {
      for (let column = 1; column <= columns; column++) {
        parts.push({ text: `${text}${FAKE}<row_${row}_col_${column}>` }, { rows: tileRows });
        text = "";
      }
      text = "\n";
    }
    return [...parts, { text: `\n\n${FAKE}<global-img>` }, { rows: tileRows }, { text: FAKE }];
  }

  /** @param limit as of `layout` */
  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    const { side } = this.#options;
    const original = { width: image.width, height: image.height };
    const { scaled, stretched, rows, columns } = this.#cut(original, limit);
    const pixels = stretch(stretch(image, scaled), stretched);
    const tiles: Float32Array[] = [];
    for (let top = 0; top < stretched.height; top += side) {
      for (let left = 0; left < stretched.width; left += side) {
        tiles.push(normaliseSquare(pixels, { left, top, side }, this.#options));
      }
    }
    if (tiles.length > 1) {
      const overview = stretch(pixels, { width: side, height: side });
      tiles.push(normaliseSquare(overview, { left: 0, top: 0, side }, this.#options));
    }
    const steps: MediaStep[] = [...resizedSteps(original, scaled), ...resizedSteps(scaled, stretched)];
    if (rows * columns > 1) {
      steps.push({ action: "tiled", columns, rows, width: side, height: side, overview: true });
    }
    return { tiles, original, seen: stretched, steps };
  }

  #cut(original: Size, limit = Number.POSITIVE_INFINITY): Cut {
    const { side, longestEdge, tileRows } = this.#options;
    let cut = cutAt(original, longestEdge, side);
    for (let tiles = Math.ceil(longestEdge / side) - 1; tiles >= 1; tiles--) {
      if (countTiles(cut) * tileRows <= limit) break;
      cut = cutAt(original, tiles * side, side);
    }
    return cut;
  }
}

/** The overview counts, unless it is all there is. */
function countTiles({ rows, columns }: Cut): number {
  return rows * columns === 1 ? 1 : rows * columns + 1;
}

function cutAt(original: Size, longestEdge: number, side: number): Cut {
  const scaled = scaleBelow(scaleTo(original, longestEdge), LONGEST);
  const stretched = stretchToTiles(scaled, side);
  return { scaled, stretched, rows: stretched.height / side, columns: stretched.width / side };
}

/** The longer side becomes `longest`; the other follows, rounded down and then up to an even number. */
function scaleTo({ width, height }: Size, longest: number): Size {
  const ratio = width / height;
  const even = (length: number): number => Math.max(1, length + (length % 2));
  return width >= height
    ? { width: longest, height: even(Math.trunc(longest / ratio)) }
    : { width: even(Math.trunc(longest * ratio)), height: longest };
}

function scaleBelow(size: Size, longest: number): Size {
  const { width, height } = size;
  const ratio = width / height;
  if (Math.max(width, height) <= longest) return size;
  return width >= height
    ? { width: longest, height: Math.max(1, Math.trunc(longest / ratio)) }
    : { width: Math.max(1, Math.trunc(longest * ratio)), height: longest };
}

/** The longer side is rounded up to whole tiles, the other one after it has followed. */
function stretchToTiles({ width, height }: Size, side: number): Size {
  const ratio = width / height;
  const whole = (length: number): number => Math.ceil(length / side) * side;
  return width >= height
    ? { width: whole(width), height: whole(Math.trunc(whole(width) / ratio)) }
    : { width: whole(Math.trunc(whole(height) * ratio)), height: whole(height) };
}

function stretch(image: RgbImage, { width, height }: Size): RgbImage {
  if (image.width === width && image.height === height) return image;
  return { width, height, data: resize(bareCanvas(image), width, height, LANCZOS) };
}

function resizedSteps(from: Size, { width, height }: Size): MediaStep[] {
  if (from.width === width && from.height === height) return [];
  return [{ action: "resized", width, height, filter: "lanczos, antialiased" }];
}

/**
 * Reads `clip.vision.preproc_image_size`.
 * @throws MullError `invalid_model`
 */
export function readLongestEdge(gguf: Gguf, imageSize: number): number {
  const longest = gguf.number("clip.vision.preproc_image_size") ?? USUAL_TILES * imageSize;
  if (Number.isSafeInteger(longest) && longest >= 1 && longest <= MOST_TILES * imageSize) return longest;
  throw new MullError(
    "invalid_model",
    `${gguf.path}: pictures of ${longest} pixels would be cut into tiles of ${imageSize}.`,
    {
      hint: `"clip.vision.preproc_image_size" may be 1 to ${MOST_TILES} times "clip.vision.image_size".`,
    },
  );
}
