import type { RgbImage } from "../media/rgb-image.ts";
import type { PreprocessedImage } from "./image-encoder.ts";
import { cropForClip, preprocessForLlava } from "./llava-preprocess.ts";
import { type LlavaView, type ViewInput, oneTile } from "./llava-view.ts";
import type { PicturePart } from "./picture-layout.ts";

/** One square for a picture: with bars, as LLaVA 1.5 has it, or the middle, as CLIP and LLaVA 1.0. */
export class SquareView implements LlavaView {
  readonly preprocessing: string;
  readonly #input: ViewInput;
  readonly #pads: boolean;

  constructor(input: ViewInput, pads: boolean) {
    this.#input = input;
    this.#pads = pads;
    this.preprocessing = pads
      ? "LLaVA 1.5: square with bars of the mean colour, bicubic as Pillow 10, normalised"
      : "CLIP: shorter side by bicubic as Pillow 10, the square in the middle, normalised";
  }

  layout(): readonly PicturePart[] {
    return [oneTile(this.#input)];
  }

  preprocess(image: RgbImage): PreprocessedImage {
    const { config } = this.#input;
    return this.#pads ? preprocessForLlava(image, config) : cropForClip(image, config);
  }

  arrange(rows: Float32Array): Float32Array {
    return rows;
  }
}
