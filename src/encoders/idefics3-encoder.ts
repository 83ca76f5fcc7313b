import type { Gguf } from "../gguf/gguf.ts";
import type { Backend } from "../native/backend.ts";
import type { LoadWeightsOptions, WeightType } from "../native/weights.ts";
import type { ClipConfig } from "./clip-config.ts";
import { Idefics3View, readLongestEdge } from "./idefics3-view.ts";
import type { ImageEncoder } from "./image-encoder.ts";
import { pixelShuffle } from "./pixel-shuffle.ts";
import { type SiglipFamily, openSiglipEncoder, readScaleFactor } from "./siglip-encoder.ts";

/**
 * Opens the encoder of Idefics3, SmolVLM and SmolVLM2: a picture in tiles, SigLIP, pixel shuffle, one matrix.
 * Laurençon et al. 2024, arXiv 2408.12637; Marafioti et al. 2025, arXiv 2504.05299.
 *
 * @throws MullError `invalid_model`, `out_of_memory`, `aborted`
 */
export function openIdefics3Encoder(
  gguf: Gguf,
  backend: Backend,
  precision: WeightType,
  options: LoadWeightsOptions,
): Promise<ImageEncoder> {
  return openSiglipEncoder(gguf, backend, precision, options, readIdefics3);
}

function readIdefics3(gguf: Gguf, config: ClipConfig): SiglipFamily {
  const { imageSize, patchSize } = config;
  const [inputs = 1, embeddingLength = 1] = gguf.requireTensor("mm.model.fc.weight").shape;
  const factor = readScaleFactor(gguf, config, Math.sqrt(inputs / config.embeddingLength));
  const side = imageSize / patchSize;
  const longestEdge = readLongestEdge(gguf, imageSize);
  const { imageMean, imageStd } = config;
  const tileRows = (side / factor) ** 2;
  const view = new Idefics3View({ side: imageSize, longestEdge, tileRows, imageMean, imageStd });
  return {
    projector: "idefics3",
    embeddingLength,
    preprocessing: `Idefics3: longer side ${longestEdge}, stretched to tiles, overview last, lanczos as Pillow 10, normalised`,
    pictureStyle: { separator: "", tight: true },
    list(list) {
      list.linear("mm.model.fc", config.embeddingLength * factor ** 2, embeddingLength);
    },
    build(graph, weights, features, { across, down }) {
      const shuffled = pixelShuffle(graph, features, { across, down, factor });
      return graph.linear(shuffled, weights.get("mm.model.fc.weight"), weights.find("mm.model.fc.bias"));
    },
    layout: (width, height, limit) => view.layout(width, height, limit),
    preprocess: (image, limit) => view.preprocess(image, limit),
  };
}
