import { dequantize } from "../gguf/dequantize.ts";
import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import type { Compatibility } from "../spec/options.ts";
import { readClipConfig } from "./clip-config.ts";
import { buildClipVit, listClipVitWeights } from "./clip-vit.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import type { LlavaProjectorType } from "./llava-projector.ts";
import type { LlavaView } from "./llava-view.ts";
import type { PicturePart } from "./picture-layout.ts";
import { readLlavaProjector } from "./read-llava-projector.ts";
import { readLlavaView } from "./read-llava-view.ts";
import { TileRuns } from "./tile-runs.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block of the usual kind makes about 40, a projector fewer than 128. */
const TENSORS_PER_BLOCK = 64;
const TENSORS_BESIDE_BLOCKS = 192;
/** LLaVA's own converter, and llama.cpp. */
const NEWLINE_NAMES = ["model.image_newline", "v.image_newline"];

export interface LoadLlavaOptions extends LoadWeightsOptions {
  compat?: Compatibility;
}

interface LlavaParts {
  projector: string;
  imageSize: number;
  embeddingLength: number;
  precision: WeightType;
  view: LlavaView;
  weights: Weights;
  runs: TileRuns;
}

/**
 * LLaVA's encoder: a picture as one square or in tiles, CLIP's vision transformer, a small projector.
 * Liu et al. 2023, "Visual Instruction Tuning" and "Improved Baselines with Visual Instruction Tuning"; LLaVA-NeXT 2024.
 */
export class LlavaEncoder implements ImageEncoder {
  readonly preprocessing: string;
  readonly projector: string;
  readonly imageSize: number;
  readonly embeddingLength: number;
  readonly precision: WeightType;
  readonly #view: LlavaView;
  readonly #weights: Weights;
  readonly #runs: TileRuns;

  private constructor(parts: LlavaParts) {
    this.preprocessing = parts.view.preprocessing;
    this.projector = parts.projector;
    this.imageSize = parts.imageSize;
    this.embeddingLength = parts.embeddingLength;
    this.precision = parts.precision;
    this.#view = parts.view;
    this.#weights = parts.weights;
    this.#runs = parts.runs;
  }

  /**
   * @param projectorType as the header names it
   * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
   */
  static async load(
    gguf: Gguf,
    backend: Backend,
    projectorType: LlavaProjectorType,
    precision: WeightType,
    { compat, ...options }: LoadLlavaOptions = {},
  ): Promise<LlavaEncoder> {
    const config = readClipConfig(gguf, compat);
    const { imageSize, patchSize, patches } = config;
    const patchesPerSide = imageSize / patchSize;
    const projector = readLlavaProjector(
      projectorType,
      {
        gguf,
        visionWidth: config.embeddingLength,
        patchesPerSide,
        layerNormEpsilon: config.layerNormEpsilon,
      },
      compat,
    );
    requireImitable(gguf, projector.type, compat);
    const { embeddingLength } = projector;
    const list = new WeightList(gguf, precision);
    listClipVitWeights(list, config);
    projector.list(list);
    for (const name of NEWLINE_NAMES) list.ignore(name);
    list.rejectUnknown(["v.", "mm.", "model."]);
    const newline = await readNewline(gguf, embeddingLength);
    const view = readLlavaView(
      gguf,
      { config, side: patchesPerSide / projector.shrink, embeddingLength },
      {
        projector: projector.type,
        ...(newline === undefined ? {} : { newline }),
        ...(compat === undefined ? {} : { compat }),
      },
    );
    const weights = await loadWeights(backend, gguf, list.requests, options);
    try {
      const runs = new TileRuns(backend, {
        side: imageSize,
        rows: patches,
        maxTensors: TENSORS_BESIDE_BLOCKS + TENSORS_PER_BLOCK * config.blocksToRun,
        build: (graph, tiles) => projector.build(graph, weights, buildClipVit(graph, weights, config, tiles)),
      });
      return new LlavaEncoder({
        projector: projector.type,
        imageSize,
        embeddingLength,
        precision,
        view,
        weights,
        runs,
      });
    } catch (error) {
      await weights.close();
      throw error;
    }
  }

  layout(width: number, height: number, limit?: number): readonly PicturePart[] {
    return this.#view.layout(width, height, limit);
  }

  preprocess(image: RgbImage, limit?: number): PreprocessedImage {
    return this.#view.preprocess(image, limit);
  }

  async encode(image: PreprocessedImage, signal?: AbortSignal): Promise<Float32Array> {
    const rows = await this.#runs.run(image.tiles, signal); // (tiles * rows of a tile, embeddingLength) float32
    return this.#view.arrange(rows, image);
  }

  async close(): Promise<void> {
    await this.#runs.close();
    await this.#weights.close();
  }
}

async function readNewline(gguf: Gguf, width: number): Promise<Float32Array | undefined> {
  const info = NEWLINE_NAMES.map((name) => gguf.tensors.get(name)).find((found) => found !== undefined);
  if (info === undefined) return undefined;
  const newline = dequantize(info.type, await gguf.readTensor(info)); // (width) float32
  if (newline.length === width) return newline;
  throw new MullError(
    "invalid_model",
    `${gguf.path}: tensor ${info.name} has ${newline.length} values, and a row of the text model ${width}.`,
    { hint: "Convert the model again; its tensors do not belong together." },
  );
}

function requireImitable(gguf: Gguf, projector: string, compat: Compatibility | undefined): void {
  if (compat === undefined || projector !== "linear") return;
  throw new MullError(
    "invalid_argument",
    `llama.cpp does not run ${gguf.path}: its projector is one layer.`,
    {
      hint: "Load it without compat.",
    },
  );
}
