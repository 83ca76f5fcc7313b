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
import type { PicturePart } from "./picture-layout.ts";
import { preprocessForLlava } from "./llava-preprocess.ts";
import {
  type LlavaProjectorConfig,
  buildLlavaProjector,
  listLlavaProjectorWeights,
  readLlavaProjectorConfig,
} from "./llava-projector.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block of the usual kind makes about 40. */
const TENSORS_PER_BLOCK = 64;

/**
 * LLaVA 1.5's encoder: one square picture, CLIP's vision transformer, a small projector.
 * Liu et al. 2023, "Improved Baselines with Visual Instruction Tuning".
 */
export class LlavaEncoder implements ImageEncoder {
  readonly preprocessing = "LLaVA 1.5: square with bars of the mean colour, bicubic as Pillow 10, normalised";
  readonly projector: string;
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  readonly #weights: Weights;
  readonly #graph: Graph;
  readonly #input: Tensor;
  readonly #output: Tensor;
  readonly #config: ClipConfig;

  private constructor(
    config: ClipConfig,
    projector: LlavaProjectorConfig,
    precision: WeightType,
    weights: Weights,
    graph: Graph,
  ) {
    this.projector = projector.type;
    this.imageSize = config.imageSize;
    this.embeddingLength = projector.embeddingLength;
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    this.#graph = graph;
    this.#input = graph.input(config.imageSize, config.imageSize, 3);
    const features = buildClipVit(graph, weights, config, this.#input);
    this.#output = buildLlavaProjector(graph, weights, projector, features);
    graph.finish(this.#output);
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
    // The picture's size never changes, so one graph and its memory serve all pictures.
    const graph = new Graph(backend, { maxTensors: 64 + TENSORS_PER_BLOCK * config.blocksToRun });
    try {
      return new LlavaEncoder(config, projector, precision, weights, graph);
    } catch (error) {
      await graph.close();
      await weights.close();
      throw error;
    }
  }

  layout(): readonly PicturePart[] {
    const side = Math.sqrt(this.#config.patches);
    return [{ rows: this.#config.patches, grid: { rows: side, columns: side } }];
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
