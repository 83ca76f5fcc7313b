import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { PictureGraphs } from "./picture-graphs.ts";
import type { PicturePart } from "./picture-layout.ts";
import { type PixtralConfig, readPixtralConfig } from "./pixtral-config.ts";
import { pixtralGrid, pixtralRows, preprocessForPixtral } from "./pixtral-preprocess.ts";
import { buildPixtral, listPixtralWeights } from "./pixtral-vit.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block makes about 45. */
const TENSORS_PER_BLOCK = 64;
/** Side of a usual picture, in pixels. */
const USUAL_SIDE = 512;

/** Encoder of Pixtral and of Mistral Small 3.1 and later: pictures of any size, line by line. */
export class PixtralEncoder implements ImageEncoder {
  readonly preprocessing: string;
  readonly projector = "pixtral";
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  /** Between `[IMG_END]` and the text after it there is nothing. */
  readonly pictureStyle = { separator: "" };
  readonly #config: PixtralConfig;
  readonly #weights: Weights;
  readonly #graphs: PictureGraphs;

  private constructor(backend: Backend, config: PixtralConfig, precision: WeightType, weights: Weights) {
    const { longestEdge, factor } = config;
    this.preprocessing =
      `Pixtral: longer side at most ${longestEdge}, stretched to multiples of ${factor}, ` +
      "bicubic as Pillow 10, normalised";
    this.imageSize = Math.floor(Math.min(USUAL_SIDE, longestEdge) / factor) * factor || factor;
    this.embeddingLength = config.projectionLength;
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    this.#graphs = new PictureGraphs(backend, {
      maxTensors: 64 + TENSORS_PER_BLOCK * config.blockCount,
      build: (graph, image) => buildPixtral(graph, weights, config, image),
    });
  }

  /** @throws MullError `invalid_model`, `out_of_memory`, `aborted` */
  static async load(
    gguf: Gguf,
    backend: Backend,
    precision: WeightType,
    options: LoadWeightsOptions = {},
  ): Promise<PixtralEncoder> {
    const config = readPixtralConfig(gguf);
    const list = new WeightList(gguf, precision);
    listPixtralWeights(list, config);
    list.rejectUnknown(["v.", "mm."]);
    const weights = await loadWeights(backend, gguf, list.requests, options);
    return new PixtralEncoder(backend, config, precision, weights);
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const grid = pixtralGrid({ width, height }, this.#config, limit);
    return [{ rows: pixtralRows(grid) }, { text: "[IMG_END]" }];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    return preprocessForPixtral(image, this.#config, limit);
  }

  encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    return this.#graphs.encode(image, signal); // (rows, embeddingLength) float32
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    await this.#weights.close();
  }
}
