import type { Gguf } from "../gguf/gguf.ts";
import { BATCH_LENGTH } from "./native-batch.ts";

/** What decides about memory, for the engine that takes it and for whoever wants to know it before. */

const DEFAULT_CONTEXT_LENGTH = 4096;

/**
 * Below this, waiting for a second thread costs more than it computes: one thread is faster on an idle machine and
 * many times faster on a busy one, where threads that wait for each other wait for the scheduler.
 */
const SMALL_MODEL_BYTES = 64 * 1024 * 1024;

const UNQUANTIZED = ["F32", "F16", "BF16"];

/** What nobody asked for is not more than this. */
export function defaultContextLength(trained: number): number {
  return Math.min(trained, DEFAULT_CONTEXT_LENGTH);
}

/** A small model computes on one thread, and its answers are exact. */
export function isSmallModel(fileBytes: number): boolean {
  return fileBytes < SMALL_MODEL_BYTES;
}

/** Contexts that the KV cache holds beyond those that are asked for: room to forget nothing while it is used. */
export function spareContexts({
  exact,
  embeddingModel,
}: {
  exact: boolean;
  embeddingModel: boolean;
}): number {
  return exact && !embeddingModel ? 1 : 0;
}

/** Positions of the KV cache. Native code wants room for a whole batch, and asserts on less. */
export function kvCells(contextLength: number, contexts: number): number {
  return Math.max(contextLength * contexts, BATCH_LENGTH);
}

/** Whether the text model's file is mapped: see `OpenModelOptions.memoryMap`. */
export function mapsFile(text: Gguf, isCpu: boolean): boolean {
  return !isCpu || UNQUANTIZED.includes(mostCommonType(text));
}

/** Name of the tensor type that takes most of the file. */
export function mostCommonType(file: Gguf): string {
  const bytes = new Map<string, number>();
  for (const { type, bytes: size } of file.tensors.values()) bytes.set(type, (bytes.get(type) ?? 0) + size);
  const [first] = [...bytes].sort((a, b) => b[1] - a[1]);
  return first?.[0].toUpperCase() ?? "unknown";
}
