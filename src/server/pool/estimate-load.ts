import { estimateModelMemory } from "../../engine/estimate-model-memory.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { factsOf } from "./facts-of.ts";

/** What loading a model comes to. */
export interface LoadEstimate {
  /** Tokens; never more than the model was trained for. */
  contextLength: number;
  /** Resident memory of its engine process, with all contexts that can be full at a time, in bytes. */
  bytes: number;
}

/** As of `load()`: what nobody asked for is not more than this. */
const DEFAULT_CONTEXT = 4096;
const LEAST_CONTEXT = 16;

/**
 * @param contextLength asked for by a request; undefined: what the model is set to, else the default
 * @param parallel requests at a time, of a model that does not say
 */
export async function estimateLoad(
  entry: CatalogEntry,
  contextLength: number | undefined,
  parallel?: LoadOptions["parallel"],
): Promise<LoadEstimate> {
  const facts = await factsOf(entry.load);
  const wanted = contextLength ?? entry.load.contextLength ?? DEFAULT_CONTEXT;
  const context = Math.max(LEAST_CONTEXT, Math.min(wanted, facts.contextLength));
  const load = { ...(parallel === undefined ? {} : { parallel }), ...entry.load };
  const { total } = await estimateModelMemory(load, context);
  return { contextLength: context, bytes: total };
}
