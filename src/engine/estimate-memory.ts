import { estimateEncoder } from "../encoders/estimate-encoder.ts";
import { isSmallEncoder } from "../encoders/small-encoder.ts";
import type { Gguf } from "../gguf/gguf.ts";
import type { EncoderPrecision, LoadOptions } from "../spec/options.ts";
import { kvBytesPerPosition } from "./kv-bytes.ts";
import { defaultContextLength, isSmallModel, kvCells, spareContexts } from "./memory-plan.ts";
import { BATCH_LENGTH, MOST_SEQUENCES } from "./native-batch.ts";

/** What an engine process takes, in bytes. */
export interface MemoryEstimate {
  /** Weights of the text model and its adapters. */
  weights: number;
  /** Keys and values of all contexts that can be full at a time. */
  kvCache: number;
  /** Weights of the vision encoder in the type it computes with, and one picture in it. 0 without a projector. */
  encoder: number;
  /** What the text model computes in, and its logits. */
  computeBuffers: number;
  /** The process and its libraries, and the vocabulary. */
  fixed: number;
  total: number;
}

/** Headers of a model's files, checked. */
export interface EstimateHeaders {
  text: Gguf;
  projector?: Gguf;
  adapters?: readonly Gguf[];
}

export interface EstimateOptions {
  /** Default: as `load()`. */
  contextLength?: number;
  /** Contexts that can be full at a time; "auto" takes as many as there is memory for, so that one counts. Default 1. */
  parallel?: LoadOptions["parallel"];
  /** Default `auto`, which is taken to be q8_0 unless the encoder is small. */
  encoderPrecision?: EncoderPrecision;
  /** `gpu`: what is allocated there and in the process together. Measured was only `cpu`, the default. */
  device?: "cpu" | "gpu";
}

const FLOAT_BYTES = 4;
/** Node, its libraries and heap, two worker threads, ggml and llama. Measured on Linux x64 with Node 20. */
export const PROCESS_BYTES = 102e6;
/** A token's text in JavaScript and twice in llama.cpp, with its places in maps. Measured over 128,256 of them. */
const TOKEN_BYTES = 270;
/** A merge of a BPE vocabulary. Measured over 280,000 of them. */
const MERGE_BYTES = 225;
/** A position of the KV cache beside its keys and values: which sequences it belongs to. */
const CELL_BYTES = 64;
/** Rows of a prompt that are read at a time on a CPU. Memory that is allocated for more is never touched. */
const ROWS_READ = 48;
/** Rows of the model's width that are alive at a time while a block is computed. */
const WIDTHS_ALIVE = 6;
const HIDDENS_ALIVE = 2;

/**
 * What a model takes in memory, from the headers of its files alone: the resident memory of its engine process after
 * it has answered one question, about a picture if it sees. No file is read and no process started.
 *
 * It leaves out what is there for a moment only: the float32 copy of a large encoder, once in its life, while its
 * precision is chosen; and caches that grow with use (pictures, at most 256 MiB).
 */
export function estimateMemory(headers: EstimateHeaders, options: EstimateOptions = {}): MemoryEstimate {
  const { text, projector, adapters = [] } = headers;
  const parts = {
    weights: tensorBytesOf(text) + adapters.reduce((sum, adapter) => sum + tensorBytesOf(adapter), 0),
    kvCache: estimateKvCache(headers, options),
    encoder:
      projector === undefined ? 0 : estimateEncoderBytes(projector, options.encoderPrecision ?? "auto"),
    computeBuffers: estimateComputeBuffers(text, options),
    fixed: PROCESS_BYTES + vocabularyBytes(text),
  };
  const total = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { ...parts, total };
}

function tensorBytesOf(gguf: Gguf): number {
  let sum = 0;
  for (const { bytes } of gguf.tensors.values()) sum += bytes;
  return sum;
}

function estimateKvCache(headers: EstimateHeaders, options: EstimateOptions): number {
  const { text, projector, adapters = [] } = headers;
  const architecture = text.requireString("general.architecture");
  const trained = text.requireNumber(`${architecture}.context_length`);
  const files = [text, ...(projector === undefined ? [] : [projector]), ...adapters];
  const exact = isSmallModel(files.reduce((sum, { fileBytes }) => sum + fileBytes, 0));
  const embeddingModel = (text.number(`${architecture}.pooling_type`) ?? 0) > 0;
  const asked = options.parallel === undefined || options.parallel === "auto" ? 1 : options.parallel;
  const contexts = asked + spareContexts({ exact, embeddingModel });
  const cells = kvCells(options.contextLength ?? defaultContextLength(trained), contexts);
  // All of it is filled with zeros when it is allocated.
  return cells * (kvBytesPerPosition(text) + CELL_BYTES);
}

function estimateEncoderBytes(projector: Gguf, wanted: EncoderPrecision): number {
  const auto = isSmallEncoder(projector) ? "f32" : "q8_0";
  const { weights, picture } = estimateEncoder(projector, wanted === "auto" ? auto : wanted);
  return weights + picture;
}

function estimateComputeBuffers(text: Gguf, { device = "cpu" }: EstimateOptions): number {
  const architecture = text.requireString("general.architecture");
  const embedding = text.requireNumber(`${architecture}.embedding_length`);
  const hiddenKey = `${architecture}.feed_forward_length`;
  const hidden =
    text.metadata.get(hiddenKey)?.type === "array"
      ? Math.max(0, ...text.requireNumbers(hiddenKey))
      : (text.number(hiddenKey) ?? 0);
  const tokens = vocabularySize(text);
  const rows = device === "cpu" ? ROWS_READ : BATCH_LENGTH;
  const activations = rows * (WIDTHS_ALIVE * embedding + HIDDENS_ALIVE * hidden);
  // Logits of a batch while they are computed: few, but a device allocates them for a whole batch.
  const computedLogits = device === "cpu" ? tokens : BATCH_LENGTH * tokens;
  // For one row of every sequence there could be, filled with zeros when it is allocated.
  const logits = MOST_SEQUENCES * tokens;
  return (activations + computedLogits + logits) * FLOAT_BYTES;
}

function vocabularyBytes(text: Gguf): number {
  const merges = text.strings("tokenizer.ggml.merges")?.length ?? 0;
  return vocabularySize(text) * TOKEN_BYTES + merges * MERGE_BYTES;
}

function vocabularySize(text: Gguf): number {
  return text.strings("tokenizer.ggml.tokens")?.length ?? 0;
}
