import type { Gguf } from "../gguf/gguf.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Backend } from "../native/backend.ts";
import type { LoadWeightsOptions, WeightType } from "../native/weights.ts";
import { averageRows } from "./average-rows.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { ImageEncoder, PreprocessedImage } from "./image-encoder.ts";
import { normaliseSquare } from "./normalise.ts";
import { BILINEAR } from "./resample-kernels.ts";
import { bareCanvas, resize } from "./resize.ts";
import { type SiglipFamily, openSiglipEncoder, readScaleFactor } from "./siglip-encoder.ts";

/** Patches per side that become one row, of every published model: 64 x 64 patches give 256 rows. */
const USUAL_FACTOR = 4;

/**
 * Opens Gemma 3's encoder: one picture, SigLIP, averages of 4 x 4 patches, a norm and a matrix. Gemma Team 2025,
 * arXiv 2503.19786; transformers: Gemma3ImageProcessor, Gemma3Processor, Gemma3MultiModalProjector. Cutting long
 * pictures into crops ("pan and scan") is off there unless it is asked for, and not done here.
 *
 * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
 */
export function openGemma3Encoder(
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadWeightsOptions,
): Promise<ImageEncoder> {
  return openSiglipEncoder(gguf, backend, precision, options, readGemma3);
}

function readGemma3(gguf: Gguf, config: ClipConfig): SiglipFamily {
  const factor = readScaleFactor(gguf, config, USUAL_FACTOR);
  const side = config.imageSize / config.patchSize;
  const grid = { rows: side / factor, columns: side / factor };
  const rows = grid.rows * grid.columns;
  // The file has it as Gemma's code does: a row for each input.
  const embeddingLength = gguf.requireTensor("mm.input_projection.weight").shape[0] ?? 1;
  return {
    projector: "gemma3",
    embeddingLength,
    preprocessing: "Gemma 3: stretched to a square, bilinear as Pillow 10, normalised",
    rowsSeeEachOther: true,
    mostRows: rows,
    pictureStyle: { separator: "" },
    list(list) {
      list.vector("mm.soft_emb_norm.weight", [config.embeddingLength]);
      list.vector("mm.input_projection.weight", [embeddingLength, config.embeddingLength]);
    },
    build(graph, weights, features) {
      const averages = averageRows(graph, features, { side, factor });
      const norm = weights.get("mm.soft_emb_norm.weight");
      const normed = graph.rmsNorm(averages, config.layerNormEpsilon, norm);
      const projection = graph.permute(weights.get("mm.input_projection.weight"), [1, 0, 2, 3]);
      return graph.matmul(graph.contiguous(projection), normed);
    },
    layout: () => [{ text: "\n\n<start_of_image>" }, { rows, grid }, { text: "<end_of_image>\n\n" }],
    preprocess: (image) => preprocessForGemma3(image, config),
  };
}

function preprocessForGemma3(image: RgbImage, config: ClipConfig): PreprocessedImage {
  const size = { width: config.imageSize, height: config.imageSize };
  const data = resize(bareCanvas(image), size.width, size.height, BILINEAR); // (size, size, 3) uint8
  const isSame = image.width === size.width && image.height === size.height;
  return {
    tiles: [normaliseSquare({ ...size, data }, { left: 0, top: 0, side: size.width }, config)],
    original: { width: image.width, height: image.height },
    seen: size,
    steps: isSame ? [] : [{ action: "resized", ...size, filter: "bilinear, antialiased" }],
  };
}
