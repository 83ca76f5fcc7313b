import type { Gguf } from "../gguf/gguf.ts";
import { tensorBytes } from "../gguf/tensor-types.ts";
import type { WeightType } from "../native/weights.ts";
import { readClipConfig } from "./clip-config.ts";
import { listClipVitWeights } from "./clip-vit.ts";
import { listLlavaProjectorWeights, readLlavaProjectorConfig } from "./llava-projector.ts";
import { WeightList } from "./weight-list.ts";

const FLOAT_BYTES = 4;
/** Rows of the block's width that are alive at a time while a block is computed: input, norm, queries, keys, values. */
const ROWS_ALIVE = 5;

export interface EncoderMemory {
  /** Its weights, in the type that it computes with. */
  weights: number;
  /** What one picture takes: pixels, the graph's memory, the rows that come out. */
  picture: number;
}

/**
 * What an encoder takes in memory, in bytes, from its header alone. No native code runs.
 * @throws MullError `invalid_model`
 */
export function estimateEncoder(gguf: Gguf, precision: WeightType): EncoderMemory {
  const config = readClipConfig(gguf);
  const type = gguf.tensors.has("mm.2.weight") ? "mlp" : "linear";
  const projector = readLlavaProjectorConfig(gguf, type);
  const list = new WeightList(gguf, precision);
  listClipVitWeights(list, config);
  listLlavaProjectorWeights(list, gguf, projector, config.embeddingLength);
  const { patches, embeddingLength, feedForwardLength, imageSize } = config;
  const rows = patches + 1;
  const widest = Math.max(feedForwardLength, 2 * projector.embeddingLength);
  const graph = rows * (ROWS_ALIVE * embeddingLength + widest) * FLOAT_BYTES;
  const pixels = imageSize ** 2 * 3 * FLOAT_BYTES;
  return {
    weights: list.requests.reduce((sum, request) => sum + tensorBytes(request.type, request.shape), 0),
    picture: graph + 2 * pixels + patches * projector.embeddingLength * FLOAT_BYTES,
  };
}
