import type { RgbImage } from "../media/rgb-image.ts";
import type { MediaStep } from "../spec/receipt.ts";
import { type Size, selectBestResolution, sizeInside } from "./anyres.ts";
import { cutTiles, resizedSteps, tiledSteps } from "./anyres-view.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { type LlavaView, type ViewInput, oneTile, tileCount } from "./llava-view.ts";
import { normaliseSquare } from "./normalise.ts";
import type { PicturePart } from "./picture-layout.ts";
import { bareCanvas, resizeBicubic } from "./resize.ts";

/** Of every model, whatever its mean. */
const BARS = [122, 116, 104] as const;
const COMPAT: MediaStep = { action: "compat", with: "llama.cpp" };

/**
 * What llama.cpp's mtmd shows a LLaVA model (tools/mtmd/mtmd-image.cpp of the pinned build). Where it differs: a
 * picture is scaled before bars are added; one that is no larger than a tile gets no tiles; the overview comes behind
 * the tiles; rows of tiles follow each other with neither newlines nor cuts where the bars are; sizes are computed in
 * single precision.
 */
export class LlamaCppView implements LlavaView {
  readonly preprocessing: string;
  readonly #input: ViewInput;
  readonly #pinpoints: readonly Size[];

  constructor(input: ViewInput, pinpoints: readonly Size[]) {
    this.#input = input;
    this.#pinpoints = pinpoints;
    const sizes = pinpoints.map(({ width, height }) => ` ${width}x${height}`).join("");
    this.preprocessing = `as llama.cpp's mtmd: bicubic as Pillow 10, then bars; tiles${sizes === "" ? " none" : sizes}`;
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const size = this.#choose({ width, height }, limit);
    return size === undefined ? [oneTile(this.#input)] : [{ rows: this.#rows(size) }];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    const { config } = this.#input;
    const side = config.imageSize;
    const original = { width: image.width, height: image.height };
    const square = { width: side, height: side };
    if (this.#pinpoints.length === 0) {
      const inside = sizeInside(original, square, Math.fround);
      const data = resizeBicubic(bareCanvas(image), inside.width, inside.height); // (height, width, 3) uint8
      const left = Math.floor((side - inside.width) / 2);
      const top = Math.floor((side - inside.height) / 2);
      const tile = normaliseSquare({ ...inside, data }, { left: -left, top: -top, side }, config, BARS);
      const padded = inside.width !== inside.height;
      const bars: MediaStep[] = padded ? [{ action: "padded", ...square, colour: BARS }] : [];
      const steps = [COMPAT, ...resizedSteps(original, inside), ...bars];
      return { tiles: [tile], original, seen: square, steps };
    }
    const data = resizeBicubic(bareCanvas(image), side, side); // (side, side, 3) uint8
    const overview = normaliseSquare({ ...square, data }, { left: 0, top: 0, side }, config);
    const size = this.#choose(original, limit);
    if (size === undefined) {
      return {
        tiles: [overview],
        original,
        seen: square,
        steps: [COMPAT, ...resizedSteps(original, square)],
      };
    }
    const inside = sizeInside(original, size, Math.fround);
    return {
      tiles: [...cutTiles(image, inside, size, this.#input), overview],
      original,
      seen: size,
      steps: [COMPAT, ...resizedSteps(original, inside), ...tiledSteps(inside, size, side)],
    };
  }

  arrange(rows: Float32Array): Float32Array {
    return rows;
  }

  #choose(original: Size, limit: number | undefined): Size | undefined {
    const side = this.#input.config.imageSize;
    if (original.width <= side && original.height <= side) return undefined;
    const fitting =
      limit === undefined ? this.#pinpoints : this.#pinpoints.filter((size) => this.#rows(size) <= limit);
    return selectBestResolution(original, fitting, Math.fround);
  }

  #rows(size: Size): number {
    const { side, config } = this.#input;
    return side ** 2 * (1 + tileCount(size, config.imageSize));
  }
}
