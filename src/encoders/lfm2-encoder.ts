import type { Gguf } from "../gguf/gguf.ts";
import type { Backend } from "../native/backend.ts";
import type { LoadWeightsOptions, WeightType } from "../native/weights.ts";
import type { ClipConfig } from "./clip-config.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { Lfm2View } from "./lfm2-view.ts";
import { pixelShuffle } from "./pixel-shuffle.ts";
import { type SiglipFamily, openSiglipEncoder, readScaleFactor } from "./siglip-encoder.ts";

/** PyTorch's default. */
const PROJECTOR_NORM_EPSILON = 1e-5;

/**
 * Opens LFM2-VL's encoder: a picture of any shape or in tiles, SigLIP 2, pixel shuffle, a norm and two layers with
 * PyTorch's exact GELU between them. Transformers: Lfm2VlMultiModalProjector.
 *
 * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
 */
export function openLfm2Encoder(
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadWeightsOptions,
): Promise<ImageEncoder> {
  return openSiglipEncoder(gguf, backend, precision, options, readLfm2);
}

function readLfm2(gguf: Gguf, config: ClipConfig): SiglipFamily {
  const factor = readScaleFactor(gguf, config, 2);
  const joined = config.embeddingLength * factor ** 2;
  const hidden = gguf.requireTensor("mm.1.weight").shape[1] ?? 1;
  const embeddingLength = gguf.requireTensor("mm.2.weight").shape[1] ?? 1;
  const { patchSize, imageMean, imageStd } = config;
  const view = new Lfm2View({ patchSize, square: patchSize * factor, imageMean, imageStd });
  return {
    projector: "lfm2",
    embeddingLength,
    preprocessing:
      "LFM2-VL: 64 to 256 rows or tiles of 512, thumbnail last, bilinear as Pillow 10, normalised",
    pictureStyle: { separator: "" },
    list(list) {
      list.norm("mm.input_norm", joined);
      list.linear("mm.1", joined, hidden);
      list.linear("mm.2", hidden, embeddingLength);
    },
    build(graph, weights, features, { across, down }) {
      const shuffled = pixelShuffle(graph, features, { across, down, factor });
      const norm = weights.find("mm.input_norm.weight");
      const bias = weights.find("mm.input_norm.bias");
      const normed =
        norm === undefined ? shuffled : graph.layerNorm(shuffled, PROJECTOR_NORM_EPSILON, norm, bias);
      const first = graph.linear(normed, weights.get("mm.1.weight"), weights.find("mm.1.bias"));
      return graph.linear(graph.geluErf(first), weights.get("mm.2.weight"), weights.find("mm.2.bias"));
    },
    layout: (width, height, limit) => view.layout(width, height, limit),
    preprocess: (image, limit) => view.preprocess(image, limit),
  };
}
