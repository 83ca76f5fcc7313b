import type { CatalogEntry } from "../model-pool.ts";
import { factsOf } from "./facts-of.ts";

/** What loading a model comes to. */
export interface LoadEstimate {
  /** Tokens; never more than the model was trained for. */
  contextLength: number;
  /** Weights and KV cache of one full context, in bytes. */
  bytes: number;
}

/** As of `load()`: what nobody asked for is not more than this. */
const DEFAULT_CONTEXT = 4096;
const LEAST_CONTEXT = 16;

/** @param contextLength asked for by a request; undefined: what the model is set to, else the default */
export async function estimateLoad(
  entry: CatalogEntry,
  contextLength: number | undefined,
): Promise<LoadEstimate> {
  const facts = await factsOf(entry.load);
  const wanted = contextLength ?? entry.load.contextLength ?? DEFAULT_CONTEXT;
  const context = Math.max(LEAST_CONTEXT, Math.min(wanted, facts.contextLength));
  return { contextLength: context, bytes: facts.bytes + context * facts.cacheBytesPerToken };
}
