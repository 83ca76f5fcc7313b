import { readPrecisionDecision } from "../encoders/precision-cache.ts";
import { isSmallEncoder } from "../encoders/small-encoder.ts";
import { readGguf } from "../gguf/read.ts";
import { validateAdapter } from "../gguf/validate-adapter.ts";
import { validateProjector } from "../gguf/validate-projector.ts";
import { validateTextModel } from "../gguf/validate-text-model.ts";
import type { LoadOptions } from "../spec/options.ts";
import { type EstimateHeaders, type MemoryEstimate, estimateMemory } from "./estimate-memory.ts";
import type { LoadFiles } from "../store/load-files.ts";
import { identifyFiles } from "../store/facts/identify-files.ts";
import { filesOfModel } from "../store/locate-model.ts";

interface KnownEstimate {
  paths: readonly string[];
  /** Of each file: device, inode, size and times. While they are the same, so is the estimate. */
  identity: string;
  estimate: MemoryEstimate;
}

/** More models than any list shows. Headers themselves, with their vocabularies, are not kept. */
const MOST_KNOWN = 4096;
const known = new Map<string, KnownEstimate>();

/**
 * What loading a model on the CPU takes in memory (see `estimateMemory`). Only the headers of its files are read, and
 * only once while they stay the same.
 *
 * @param contextLength in place of the one in `load`
 * @throws MullError `model_not_found`, `invalid_model`, `invalid_argument`
 */
export async function estimateModelMemory(
  load: Omit<LoadOptions, "signal" | "onProgress">,
  contextLength: number | undefined = load.contextLength,
): Promise<MemoryEstimate> {
  const files = filesOfModel(load);
  const { parallel = 1, encoderPrecision = "auto" } = load;
  const key = JSON.stringify([files, contextLength, parallel, encoderPrecision]);
  const before = known.get(key);
  if (before !== undefined && before.identity === (await identifyFiles(before.paths))) return before.estimate;
  const headers = await readHeaders(files);
  const paths = Object.values(headers)
    .flat()
    .flatMap((header) => header.paths);
  const identity = await identifyFiles(paths);
  const { projector } = headers;
  const mustChoose = encoderPrecision === "auto" && projector !== undefined && !isSmallEncoder(projector);
  const chosen = mustChoose ? await readPrecisionDecision(projector, "CPU") : undefined;
  const estimate = estimateMemory(headers, {
    parallel,
    encoderPrecision: chosen ?? encoderPrecision,
    ...(contextLength === undefined ? {} : { contextLength }),
  });
  // What the encoder will be is known only after it was loaded once.
  const isFinal = !mustChoose || chosen !== undefined;
  if (isFinal && identity !== undefined) keep(key, { paths, identity, estimate });
  return estimate;
}

async function readHeaders({ model, splitFiles, projector, adapters }: LoadFiles): Promise<EstimateHeaders> {
  const text = await readGguf(splitFiles ?? model);
  validateTextModel(text);
  const headers: EstimateHeaders = { text };
  if (projector !== undefined) {
    headers.projector = await readGguf(projector);
    validateProjector(headers.projector);
  }
  if (adapters.length > 0) headers.adapters = await Promise.all(adapters.map((path) => readGguf(path)));
  for (const adapter of headers.adapters ?? []) validateAdapter(adapter, text);
  return headers;
}

function keep(key: string, estimate: KnownEstimate): void {
  known.delete(key);
  known.set(key, estimate);
  for (const oldest of known.keys()) {
    if (known.size <= MOST_KNOWN) break;
    known.delete(oldest);
  }
}
