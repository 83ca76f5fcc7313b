import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import type { Graph } from "../native/graph.ts";
import type { Tensor } from "../native/tensor.ts";
import { type LoadWeightsOptions, type WeightType, type Weights, loadWeights } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";
import { type ClipConfig, readClipConfig } from "./clip-config.ts";
import { buildClipVit, listClipVitWeights } from "./clip-vit.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import type { PicturePart } from "./picture-layout.ts";
import { resizePositions } from "./resize-positions.ts";
import { TileRuns } from "./tile-runs.ts";
import { WeightList } from "./weight-list.ts";

/** At most; a block of the usual kind makes about 40. */
const TENSORS_PER_BLOCK = 64;
const TENSORS_BESIDE_BLOCKS = 128;

/** What a family adds to SigLIP's vision transformer. */
export interface SiglipFamily extends Pick<
  ImageEncoder,
  "projector" | "embeddingLength" | "preprocessing" | "rowsSeeEachOther" | "mostRows" | "pictureStyle"
> {
  /** Lists the projector's tensors. */
  list(list: WeightList): void;
  /**
   * The projector.
   * @param features [config.embeddingLength, patches, 1, tiles]
   * @param grid how many patches a tile has
   * @returns [embeddingLength, rows of a tile, 1, tiles]
   */
  build(graph: Graph, weights: Weights, features: Tensor, grid: { across: number; down: number }): Tensor;
  layout(width: number, height: number, limit?: number): readonly PicturePart[];
  preprocess(image: RgbImage, limit?: number): PreprocessedImage;
}

/**
 * Opens an encoder that is SigLIP's vision transformer over tiles and a projector behind it.
 *
 * SigLIP (Zhai et al. 2023, arXiv 2303.15343) is computed as CLIP, but has no class token, is run to its last block,
 * and has a norm behind that. Where tiles are of other shapes than the one whose positions were learnt, these are
 * interpolated, as by SigLIP 2 (Tschannen et al. 2025, arXiv 2502.14786).
 *
 * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
 */
export async function openSiglipEncoder(
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadWeightsOptions,
  read: (gguf: Gguf, config: ClipConfig) => SiglipFamily,
): Promise<ImageEncoder> {
  const config = readSiglipConfig(gguf);
  const family = read(gguf, config);
  const list = new WeightList(gguf, precision);
  listClipVitWeights(list, config);
  family.list(list);
  // Its pooling head, which some files have kept, is for comparing pictures with texts.
  list.ignore("v.head.");
  list.rejectUnknown(["v.", "mm."]);
  const weights = await loadWeights(backend, gguf, list.requests, options);
  try {
    const runs = new TileRuns(backend, {
      side: config.imageSize,
      rows: config.patches,
      maxTensors: TENSORS_BESIDE_BLOCKS + TENSORS_PER_BLOCK * config.blocksToRun,
      build(graph, tiles) {
        const across = tiles.shape[0] / config.patchSize;
        const down = tiles.shape[1] / config.patchSize;
        const table = weights.get("v.position_embd.weight");
        const positions = resizePositions(graph, table, across, down);
        const features = buildClipVit(graph, weights, config, tiles, positions);
        return family.build(graph, weights, features, { across, down });
      },
    });
    return {
      ...family,
      imageSize: config.imageSize,
      precision,
      encode: (image, signal) => runs.run(image.tiles, signal, image.tileSizes),
      async close() {
        await runs.close();
        await weights.close();
      },
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/**
 * Reads the `clip.*` keys of a SigLIP vision transformer.
 * @throws MullError `invalid_model`
 */
export function readSiglipConfig(gguf: Gguf): ClipConfig {
  if (gguf.tensors.has("v.class_embd")) {
    throw new MullError("invalid_model", `${gguf.path}: SigLIP has no class token, and this file has one.`, {
      hint: "Convert the model again; its projector type and its vision encoder do not belong together.",
    });
  }
  const config = readClipConfig(gguf);
  return { ...config, blocksToRun: config.blockCount, postNorm: true };
}

/**
 * How many patches per side become one row, from `clip.vision.projector.scale_factor`.
 * @param fallback for files that do not say it
 * @throws MullError `invalid_model`
 */
export function readScaleFactor(gguf: Gguf, { imageSize, patchSize }: ClipConfig, fallback: number): number {
  const factor = gguf.number("clip.vision.projector.scale_factor") ?? fallback;
  const side = imageSize / patchSize;
  if (Number.isSafeInteger(factor) && factor >= 1 && side % factor === 0) return factor;
  throw new MullError(
    "invalid_model",
    `${gguf.path}: ${side} patches per side cannot be joined by a scale factor of ${factor}.`,
    { hint: "Convert the model again; its header contradicts itself." },
  );
}
