import { PROCESS_BYTES } from "./estimate-memory.ts";

export interface ModelSizes {
  /** Files of the text model, in bytes. */
  modelBytes: number;
  projectorBytes?: number;
  /** Default 4096. */
  contextLength?: number;
  /** Contexts that can be full at a time. Default 1. */
  parallel?: number;
}

const DEFAULT_CONTEXT_LENGTH = 4096;
/** A vocabulary of 32,000 and the logits that are kept for it; ViT-L computing; activations. */
const BUFFER_BYTES = 80e6;
/** An f16 encoder, as they are published, computes with q8_0. */
const ENCODER_SHARE = 17 / 32;
/** Mistral 7B in q4_0: what a position takes in its KV cache, in bytes, and the size of its file. */
const REFERENCE = { positionBytes: 131_072, modelBytes: 4.1e9 };
/** Layers and width both grow with the size, heads that keep keys and values hardly. */
const GROWTH = 0.6;

/**
 * A rough guess of what a model will take in memory, in bytes, from the sizes of its files alone: for a warning before
 * a download, when no header is there to read. It assumes 4-bit weights, an f16 projector and grouped-query attention;
 * models without that (Vicuna, LLaVA 1.5) need up to four times as much per position of the context. `estimateMemory`
 * knows better as soon as there are headers.
 */
export function estimateFromSizes(sizes: ModelSizes): number {
  const { modelBytes, projectorBytes = 0, contextLength = DEFAULT_CONTEXT_LENGTH, parallel = 1 } = sizes;
  const positionBytes = REFERENCE.positionBytes * (modelBytes / REFERENCE.modelBytes) ** GROWTH;
  const context = positionBytes * contextLength * parallel;
  return Math.round(PROCESS_BYTES + BUFFER_BYTES + modelBytes + projectorBytes * ENCODER_SHARE + context);
}
