import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { PictureGraphs } from "./picture-graphs.ts";
import type { PicturePart } from "./picture-layout.ts";
import { type KimiVlConfig, readKimiVlConfig } from "./kimivl-config.ts";
import { kimiVlGrid, preprocessForKimiVl } from "./kimivl-preprocess.ts";
import { buildKimiVl, listKimiVlWeights } from "./kimivl-vit.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block makes about 45. */
const TENSORS_PER_BLOCK = 64;
/** Side of a usual picture, in pixels. */
const USUAL_SIDE = 512;

/** Encoder of Kimi-VL: pictures of any size. */
export class KimiVlEncoder implements ImageEncoder {
  readonly preprocessing: string;
  readonly projector = "kimivl";
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  /** Between `<|media_end|>` and the text after it there is nothing. */
  readonly pictureStyle = { separator: "" };
  readonly #config: KimiVlConfig;
  readonly #weights: Weights;
  readonly #graphs: PictureGraphs;

  private constructor(backend: Backend, config: KimiVlConfig, precision: WeightType, weights: Weights) {
    const { mostPatches, factor } = config;
    this.preprocessing =
      `Kimi-VL: at most ${mostPatches} patches, black bars to multiples of ${factor}, ` +
      "bicubic as Pillow 10, normalised";
    this.imageSize = Math.max(1, Math.floor(USUAL_SIDE / factor)) * factor;
    this.embeddingLength = config.projectionLength;
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    this.#graphs = new PictureGraphs(backend, {
      maxTensors: 64 + TENSORS_PER_BLOCK * config.blockCount,
      build: (graph, image) => buildKimiVl(graph, weights, config, image),
    });
  }

  /** @throws MullError `invalid_model`, `out_of_memory`, `aborted` */
  static async load(
    gguf: Gguf,
    backend: Backend,
    precision: WeightType,
    options: LoadWeightsOptions = {},
  ): Promise<KimiVlEncoder> {
    const config = readKimiVlConfig(gguf);
    const list = new WeightList(gguf, precision);
    listKimiVlWeights(list, config);
    list.rejectUnknown(["v.", "mm."]);
    const weights = await loadWeights(backend, gguf, list.requests, options);
    return new KimiVlEncoder(backend, config, precision, weights);
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const { rows, columns } = kimiVlGrid({ width, height }, this.#config, limit);
    return [
      { text: "<|media_start|>image<|media_content|>" },
      { rows: rows * columns },
      { text: "<|media_end|>" },
    ];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    return preprocessForKimiVl(image, this.#config, limit);
  }

  encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    return this.#graphs.encode(image, signal); // (rows, embeddingLength) float32
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    await this.#weights.close();
  }
}
