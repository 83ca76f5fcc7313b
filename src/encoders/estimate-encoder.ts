import type { Gguf } from "../gguf/gguf.ts";
import { visionProjectorType } from "../gguf/projector-types.ts";
import { TENSOR_TYPES, tensorBytes } from "../gguf/tensor-types.ts";
import type { WeightType } from "../native/weights.ts";
import { readClipConfig } from "./clip-config.ts";
import { listClipVitWeights } from "./clip-vit.ts";
import type { LlavaProjectorType } from "./llava-projector.ts";
import { tileCount } from "./llava-view.ts";
import { readPinpoints } from "./pinpoints.ts";
import { readLlavaProjector } from "./read-llava-projector.ts";
import { tilesPerRun } from "./tile-runs.ts";
import { readInternVlConfig } from "./internvl-config.ts";
import { readLongestEdge } from "./idefics3-view.ts";
import { MOST_TILES, TILE_SIDE } from "./lfm2-view.ts";
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
  return ["mlp", "linear", "ldp", "ldpv2"].includes(visionProjectorType(gguf))
    ? estimateLlava(gguf, precision)
    : estimateByTensors(gguf, precision);
}

/** Of any other family: all its matrices in the type that it computes with, and a picture of the usual size. */
function estimateByTensors(gguf: Gguf, precision: WeightType): EncoderMemory {
  let weights = 0;
  for (const { shape } of gguf.tensors.values()) {
    const fits = shape.length === 2 && (shape[0] ?? 0) % TENSOR_TYPES[precision].blockSize === 0;
    weights += tensorBytes(fits ? precision : "f32", shape);
  }
  const { tiles, size } = mostTiles(gguf);
  const patches = (size / (gguf.number("clip.vision.patch_size") ?? 1)) ** 2;
  const width = gguf.number("clip.vision.embedding_length") ?? 0;
  const widest = gguf.number("clip.vision.feed_forward_length") ?? 0;
  const atOnce = tilesPerRun(patches, tiles);
  const graph = atOnce * patches * (ROWS_ALIVE * width + widest) * FLOAT_BYTES;
  const pixels = 3 * size ** 2 * FLOAT_BYTES;
  return { weights, picture: graph + (tiles + atOnce) * pixels };
}

/** Of a large picture, the whole of it included, and the side of one in pixels. */
function mostTiles(gguf: Gguf): { tiles: number; size: number } {
  const type = visionProjectorType(gguf);
  if (type === "lfm2") return { tiles: MOST_TILES + 1, size: TILE_SIDE };
  const size = gguf.number("clip.vision.image_size") ?? 0;
  if (type === "internvl") return { tiles: readInternVlConfig(gguf).maxTiles + 1, size };
  if (type !== "idefics3") return { tiles: 1, size };
  return { tiles: Math.ceil(readLongestEdge(gguf, size) / size) ** 2 + 1, size };
}

function estimateLlava(gguf: Gguf, precision: WeightType): EncoderMemory {
  const config = readClipConfig(gguf);
  const { patches, patchSize, embeddingLength, feedForwardLength, imageSize, layerNormEpsilon } = config;
  const projector = readLlavaProjector(visionProjectorType(gguf) as LlavaProjectorType, {
    gguf,
    visionWidth: embeddingLength,
    patchesPerSide: imageSize / patchSize,
    layerNormEpsilon,
  });
  const list = new WeightList(gguf, precision);
  listClipVitWeights(list, config);
  projector.list(list);
  const tiles = 1 + Math.max(0, ...readPinpoints(gguf, imageSize).map((size) => tileCount(size, imageSize)));
  const atOnce = tilesPerRun(patches, tiles);
  const widest = Math.max(feedForwardLength, 2 * projector.embeddingLength);
  const graph = atOnce * (patches + 1) * (ROWS_ALIVE * embeddingLength + widest) * FLOAT_BYTES;
  const pixels = imageSize ** 2 * 3 * FLOAT_BYTES;
  return {
    weights: list.requests.reduce((sum, request) => sum + tensorBytes(request.type, request.shape), 0),
    picture: graph + (tiles + atOnce) * pixels + tiles * patches * projector.embeddingLength * FLOAT_BYTES,
  };
}
