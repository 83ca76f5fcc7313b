import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { type PatchOrder, cutPatches, orderPatches, rasterRows } from "./patch-order.ts";
import { positionCorners } from "./position-corners.ts";
import { type PicturePart, gridPlaces } from "./picture-layout.ts";
import { type QwenConfig, type QwenProjectorType, readQwenConfig } from "./qwen-config.ts";
import { preprocessForQwen, qwenSize } from "./qwen-preprocess.ts";
import { buildQwenVit, listQwenWeights } from "./qwen-vit.ts";
import type { RowGrid } from "./row-grid.ts";
import { SizedGraph } from "./sized-graph.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block with windows of four sizes makes about 130. */
const TENSORS_PER_BLOCK = 192;

interface QwenGraph {
  graph: Graph;
  order: PatchOrder;
  input: Tensor;
  output: Tensor;
}

/** Encoder of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures of any size, rows with two coordinates. */
export class QwenEncoder implements ImageEncoder {
  readonly preprocessing: string;
  readonly projector: QwenProjectorType;
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  /** Between `<|vision_end|>` and the text after it there is nothing. */
  readonly pictureStyle = { separator: "" };
  readonly #config: QwenConfig;
  readonly #weights: Weights;
  readonly #graphs: SizedGraph<QwenGraph>;

  constructor(backend: Backend, config: QwenConfig, precision: WeightType, weights: Weights) {
    const { factor, minPixels, maxPixels } = config.limits;
    this.preprocessing =
      `Qwen-VL: multiples of ${factor} between ${minPixels} and ${maxPixels} pixels, ` +
      "bicubic as Pillow 10, normalised";
    this.projector = config.type;
    this.imageSize = config.imageSize;
    this.embeddingLength = config.projectionLength * (1 + config.deepstackBlocks.length);
    this.precision = precision;
    this.#config = config;
    this.#weights = weights;
    this.#graphs = new SizedGraph(({ width, height }) => this.#build(backend, width, height));
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    const { factor } = this.#config.limits;
    const seen = qwenSize({ width, height }, this.#config, limit);
    const grid = { rows: seen.height / factor, columns: seen.width / factor };
    return [
      { text: "<|vision_start|>" },
      { rows: grid.rows * grid.columns, places: gridPlaces(grid) },
      { text: "<|vision_end|>" },
    ];
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    return preprocessForQwen(image, this.#config, limit);
  }

  async encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    const [tile] = image.tiles;
    if (tile === undefined) throw new MullError("internal", "A preprocessed picture has one tile.");
    return this.#graphs.run(image.seen, async ({ graph, order, input, output }) => {
      const patches = cutPatches(tile, image.seen, this.#config.patchSize, order); // (patches, 3 * patchSize²) float32
      const rows = await graph.run(input, patches, output, signal); // (rows, embeddingLength) float32
      return rasterRows(rows, order);
    });
  }

  async close(): Promise<void> {
    await this.#graphs.close();
    await this.#weights.close();
  }

  #build(backend: Backend, width: number, height: number): QwenGraph {
    const { patchSize, merge, window, blockCount, positionsPerSide } = this.#config;
    const grid: RowGrid = { rows: height / patchSize, columns: width / patchSize };
    const order = orderPatches(grid, merge, window);
    const patches = order.down.length;
    const graph = new Graph(backend, { maxTensors: 128 + TENSORS_PER_BLOCK * blockCount });
    try {
      const input = graph.input(3 * patchSize ** 2, patches);
      const output = buildQwenVit(graph, this.#weights, this.#config, {
        patches: input,
        order,
        positions: graph.constant(ropeCoordinates(order), 4 * patches),
        corners: positionsPerSide === undefined ? undefined : positionCorners(positionsPerSide, grid, order),
      });
      graph.finish(output);
      return { graph, order, input, output };
    } catch (error) {
      void graph.close();
      throw error;
    }
  }
}

/**
 * @param type as the header names it
 * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
 */
export async function openQwenEncoder(
  type: QwenProjectorType,
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadWeightsOptions = {},
): Promise<QwenEncoder> {
  const config = readQwenConfig(gguf, type);
  const list = new WeightList(gguf, precision);
  listQwenWeights(list, config);
  list.rejectUnknown(["v.", "mm."]);
  return new QwenEncoder(
    backend,
    config,
    precision,
    await loadWeights(backend, gguf, list.requests, options),
  );
}

/** Rows, then columns, then both again, as ggml's rotation for vision transformers wants them. */
function ropeCoordinates({ down, across }: PatchOrder): Int32Array {
  const coordinates = new Int32Array(4 * down.length); // (4, patches) int32
  for (const [place, part] of [down, across, down, across].entries()) {
    coordinates.set(part, place * down.length);
  }
  return coordinates;
}
