import type { AbortFlag } from "../native/abort-flag.ts";
import type { Libraries } from "../native/libraries.ts";
import type { Llama, LlamaContext, LlamaModel } from "../native/llama.ts";
import { MullError } from "../spec/errors.ts";
import { MOST_SEQUENCES } from "./native-batch.ts";

export interface OpenModelOptions {
  /** All files in order. */
  paths: readonly string[];
  /**
   * Whether the file is mapped instead of read. Mapped pages are shared and load at once; but a CPU lays quantised
   * weights out anew in memory of its own, and then the mapped file is resident beside them for nothing.
   */
  memoryMap: boolean;
  /** Fraction of the weights that is read, 0..1. */
  onProgress: (fraction: number) => void;
}

/** `enum llama_load_mode` */
const LOAD_MODE = { read: 0, memoryMap: 1 };

/** @throws MullError `invalid_model` */
export function loadModel(
  { koffi, variant }: Libraries,
  llama: Llama,
  options: OpenModelOptions,
): LlamaModel {
  const [path = ""] = options.paths;
  // Called on this thread while `llama_model_load_from_file` runs, so JavaScript may be entered.
  const type = koffi.pointer(koffi.proto("bool", ["float", "void *"]));
  const callback = koffi.register((fraction: number) => {
    options.onProgress(fraction);
    return true;
  }, type);
  try {
    const parameters = {
      ...llama.modelDefaultParams(),
      load_mode: options.memoryMap ? LOAD_MODE.memoryMap : LOAD_MODE.read,
      n_gpu_layers: variant === "cpu" ? 0 : -1,
      progress_callback: callback,
    };
    const model =
      options.paths.length === 1
        ? llama.modelLoadFromFile(path, parameters)
        : llama.modelLoadFromSplits(options.paths, options.paths.length, parameters);
    if (model !== null) return model;
  } finally {
    koffi.unregister(callback);
  }
  throw new MullError("invalid_model", `${path}: the engine could not load this model.`, {
    hint: "Its architecture may be newer than this engine, or the memory too small for it.",
  });
}

/** @throws MullError `out_of_memory` */
export function createContext(
  llama: Llama,
  model: LlamaModel,
  abort: AbortFlag,
  shape: { cells: number; batchLength: number; threads: number; embeddingModel: boolean },
): LlamaContext {
  const { cells, batchLength, threads, embeddingModel } = shape;
  const context = llama.initFromModel(model, {
    ...llama.contextDefaultParams(),
    n_ctx: cells,
    n_batch: batchLength,
    n_ubatch: batchLength,
    n_seq_max: MOST_SEQUENCES,
    kv_unified: true,
    n_threads: threads,
    n_threads_batch: threads,
    embeddings: embeddingModel,
    abort_callback: abort.callback,
    abort_callback_data: abort.data,
    no_perf: true,
  });
  if (context !== null) return context;
  throw new MullError("out_of_memory", `There is no memory for a context of ${cells} tokens.`, {
    hint: "Ask for a shorter one with --num-ctx, or fewer requests at once with --parallel.",
  });
}

/**
 * Lets a context compute with LoRA adapters, each at full scale (times alpha over rank, as its file says).
 * @throws MullError `invalid_model`
 */
export function applyAdapters(
  llama: Llama,
  model: LlamaModel,
  context: LlamaContext,
  paths: readonly string[],
): void {
  if (paths.length === 0) return;
  const adapters = paths.map((path) => {
    const adapter = llama.adapterLoraInit(model, path);
    if (adapter !== null) return adapter;
    throw new MullError("invalid_model", `${path}: the engine could not load this adapter.`, {
      hint: "It may belong to another model, or the memory be too small for it.",
    });
  });
  const scales = new Float32Array(adapters.length).fill(1);
  llama.setAdaptersLora(context, BigInt64Array.from(adapters), adapters.length, scales);
}
