import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import { type ClipConfig, readClipConfig } from "./clip-config.ts";
import { buildClipVit, listClipVitWeights } from "./clip-vit.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { preprocessForLlava } from "./llava-preprocess.ts";
import {
  type LlavaProjectorConfig,
  buildLlavaProjector,
  listLlavaProjectorWeights,
  readLlavaProjectorConfig,
} from "./llava-projector.ts";
import { WeightList } from "./weight-list.ts";

/**
 * LLaVA 1.5's encoder: one square picture, CLIP's vision transformer, a small projector.
 * Liu et al. 2023, "Improved Baselines with Visual Instruction Tuning".
 */
export class LlavaEncoder implements ImageEncoder {
  readonly projector: string;
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  readonly #config: ClipConfig;
  readonly #weights: Weights;
  readonly #graph: Graph;
  readonly #input: Tensor;
  readonly #output: Tensor;

  private constructor(
    backend: Backend,
    weights: Weights,
    config: ClipConfig,
    projector: LlavaProjectorConfig,
    precision: WeightType,
  ) {
    this.projector = projector.type;
    this.imageSize = config.imageSize;
    this.embeddingLength = projector.embeddingLength;
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    // The picture's size never changes, so one graph and its memory serve all pictures.
    this.#graph = new Graph(backend, { maxTensors: 64 + 48 * config.blocksToRun });
    this.#input = this.#graph.input(config.imageSize, config.imageSize, 3);
    const features = buildClipVit(this.#graph, weights, config, this.#input);
    this.#output = buildLlavaProjector(this.#graph, weights, projector, features);
    this.#graph.finish(this.#output);
  }

  /**
   * @param projectorType as the header names it
   * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
   */
  static async load(
    gguf: Gguf,
    backend: Backend,
    projectorType: "linear" | "mlp",
    precision: WeightType,
    options: LoadWeightsOptions = {},
  ): Promise<LlavaEncoder> {
    rejectTiling(gguf);
    const config = readClipConfig(gguf);
    const projector = readLlavaProjectorConfig(gguf, projectorType);
    const list = new WeightList(gguf, precision);
    listClipVitWeights(list, config);
    listLlavaProjectorWeights(list, gguf, projector, config.embeddingLength);
    list.ignore("v.image_newline");
    list.rejectUnknown(["v.", "mm."]);
    const weights = await loadWeights(backend, gguf, list.requests, options);
    try {
      return new LlavaEncoder(backend, weights, config, projector, precision);
    } catch (error) {
      await weights.close();
      throw error;
    }
  }

  countTokens(): number {
    return this.#config.patches;
  }

  preprocess(image: RgbImage): PreprocessedImage {
    return preprocessForLlava(image, this.#config);
  }

  async encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    const [tile] = image.tiles;
    if (tile === undefined) throw new MullError("internal", "A preprocessed picture has one tile.");
    return this.#graph.run(this.#input, tile, this.#output, signal); // (patches, embeddingLength) float32
  }

  async close(): Promise<void> {
    await this.#graph.close();
    await this.#weights.close();
  }
}

/** LLaVA 1.6 was trained on several tiles of a picture; run like 1.5 it would see less than it should, silently. */
function rejectTiling(gguf: Gguf): void {
  if ((gguf.numbers("clip.vision.image_grid_pinpoints")?.length ?? 0) === 0) return;
  throw new MullError(
    "invalid_model",
    `${gguf.path} is a LLaVA 1.6 projector, which cuts pictures into tiles.`,
    {
      hint: "mull runs LLaVA 1.0 and 1.5 projectors.",
    },
  );
}
