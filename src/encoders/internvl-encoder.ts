import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { type InternVlConfig, readInternVlConfig } from "./internvl-config.ts";
import { internVlGrid, preprocessForInternVl } from "./internvl-preprocess.ts";
import { viewsOf } from "./internvl-tiles.ts";
import { buildInternVl, listInternVlWeights } from "./internvl-vit.ts";
import type { PicturePart } from "./picture-layout.ts";
import { TileRuns } from "./tile-runs.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block makes about 45. */
const TENSORS_PER_BLOCK = 64;

/** Encoder of InternVL 2 and later: square tiles, and the whole picture after them. */
export class InternVlEncoder implements ImageEncoder {
  readonly preprocessing: string;
  readonly projector = "internvl";
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  readonly #config: InternVlConfig;
  readonly #weights: Weights;
  readonly #runs: TileRuns;

  private constructor(backend: Backend, config: InternVlConfig, precision: WeightType, weights: Weights) {
    const { imageSize, minTiles, maxTiles, patchesPerSide, blockCount } = config;
    this.preprocessing =
      `InternVL: stretched to ${minTiles} to ${maxTiles} tiles of ${imageSize}, then to one, ` +
      "bicubic as Pillow 10, normalised";
    this.imageSize = imageSize;
    this.embeddingLength = config.projectionLength;
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    this.#runs = new TileRuns(backend, {
      side: imageSize,
      rows: patchesPerSide ** 2 + 1,
      maxTensors: 64 + TENSORS_PER_BLOCK * blockCount,
      build: (graph, tiles) => buildInternVl(graph, weights, config, tiles),
    });
  }

  /** @throws MullError `invalid_model`, `out_of_memory`, `aborted` */
  static async load(
    gguf: Gguf,
    backend: Backend,
    precision: WeightType,
    options: LoadWeightsOptions = {},
  ): Promise<InternVlEncoder> {
    const config = readInternVlConfig(gguf);
    const list = new WeightList(gguf, precision);
    listInternVlWeights(list, config);
    list.rejectUnknown(["v.", "mm."]);
    const weights = await loadWeights(backend, gguf, list.requests, options);
    try {
      return new InternVlEncoder(backend, config, precision, weights);
    } catch (error) {
      await weights.close();
      throw error;
    }
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const { rowsPerTile } = this.#config;
    const views = viewsOf(internVlGrid({ width, height }, this.#config, limit));
    const side = Math.sqrt(rowsPerTile);
    return [
      { text: "<img>" },
      { rows: views * rowsPerTile, ...(views === 1 ? { grid: { rows: side, columns: side } } : {}) },
      { text: "</img>" },
    ];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    return preprocessForInternVl(image, this.#config, limit);
  }

  async encode({ tiles }: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    return this.#runs.run(tiles, signal); // (rows of all tiles, embeddingLength) float32
  }

  async close(): Promise<void> {
    await this.#runs.close();
    await this.#weights.close();
  }
}
