import { AbortFlag } from "../native/abort-flag.ts";
import type { Ggml } from "../native/ggml.ts";
import type { Libraries } from "../native/libraries.ts";
import type { Llama, LlamaContext, LlamaMemory, LlamaModel, LlamaVocab } from "../native/llama.ts";
import { MullError } from "../spec/errors.ts";
import { BATCH_LENGTH, type BatchInput, NativeBatch } from "./native-batch.ts";

export interface TextModelOptions {
  path: string;
  /** Undefined: what the model was trained for, at most 4096. */
  contextLength: number | undefined;
  threads: number;
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
const DEFAULT_CONTEXT_LENGTH = 4096;
/** `llama_decode`: the abort flag was seen; what was computed of the batch stays in the KV cache. */
const DECODE_ABORTED = 2;

/**
 * A text model and one context: weights, vocabulary, KV cache. All of llama.cpp that the engine uses.
 * Positions are counted by the caller; every call but `close` may be made only one at a time.
 */
export class TextModel {
  readonly contextLength: number;
  /** Width of an input row. */
  readonly embeddingLength: number;
  readonly vocabularySize: number;
  readonly parameters: number;
  readonly #llama: Llama;
  readonly #koffi: Libraries["koffi"];
  readonly #model: LlamaModel;
  readonly #context: LlamaContext;
  readonly #memory: LlamaMemory;
  readonly #vocab: LlamaVocab;
  readonly #abort: AbortFlag;
  readonly #batch: NativeBatch;

  constructor(libraries: Libraries, llama: Llama, ggml: Ggml, options: TextModelOptions) {
    this.#llama = llama;
    this.#koffi = libraries.koffi;
    this.#model = loadModel(libraries, llama, options);
    this.#vocab = llama.modelGetVocab(this.#model);
    this.#abort = new AbortFlag(ggml);
    const trained = llama.modelNCtxTrain(this.#model);
    this.#context = createContext(llama, this.#model, this.#abort, {
      contextLength: options.contextLength ?? Math.min(trained, DEFAULT_CONTEXT_LENGTH),
      threads: options.threads,
    });
    this.#memory = llama.getMemory(this.#context);
    this.contextLength = llama.nCtx(this.#context);
    this.embeddingLength = llama.modelNEmbdInp(this.#model);
    this.vocabularySize = llama.vocabNTokens(this.#vocab);
    this.parameters = Number(llama.modelNParams(this.#model));
    this.#batch = new NativeBatch(libraries.koffi, this.embeddingLength);
  }

  /**
   * @param first whether the text begins the prompt: then the model's BOS is put in front, once
   */
  tokenize(text: string, first: boolean): number[] {
    const bytes = new TextEncoder().encode(text);
    const write = (tokens: Int32Array): number =>
      this.#llama.tokenize(this.#vocab, bytes, bytes.length, tokens, tokens.length, first, true);
    let tokens = new Int32Array(bytes.length + 8);
    let count = write(tokens);
    if (count < 0) {
      tokens = new Int32Array(-count);
      count = write(tokens);
    }
    const result = Array.from(tokens.subarray(0, Math.max(0, count)));
    // Many templates print the BOS that the tokenizer also adds.
    const bos = this.#llama.vocabBos(this.#vocab);
    if (first && result[0] === bos && result[1] === bos) result.shift();
    return result;
  }

  /** Bytes of a token's text: not always whole characters. Control tokens have none. */
  piece(token: number): Uint8Array {
    let buffer = new Uint8Array(64);
    let length = this.#llama.tokenToPiece(this.#vocab, token, buffer, buffer.length, 0, false);
    if (length < 0) {
      buffer = new Uint8Array(-length);
      length = this.#llama.tokenToPiece(this.#vocab, token, buffer, buffer.length, 0, false);
    }
    return buffer.subarray(0, Math.max(0, length));
  }

  endsGeneration(token: number): boolean {
    return this.#llama.vocabIsEog(this.#vocab, token);
  }

  /** Reads tokens at `position` and after. `progress` is told how many are done after each batch. */
  async appendTokens(tokens: readonly number[], position: number, step: AppendStep): Promise<void> {
    await this.#append(tokens.length, position, step, (start, count) =>
      this.#batch.setTokens(tokens.slice(start, start + count)),
    );
  }

  /** Reads rows as if they were the embeddings of tokens. */
  async appendRows(
    rows: Float32Array, // (count, embeddingLength) float32
    position: number,
    step: AppendStep,
  ): Promise<void> {
    const width = this.embeddingLength;
    await this.#append(rows.length / width, position, step, (start, count) =>
      this.#batch.setRows(rows.subarray(start * width, (start + count) * width)),
    );
  }

  /** Logits after the last appended token, valid until the next append: (vocabulary) float32. */
  logits(): Float32Array {
    const address = this.#llama.getLogitsIth(this.#context, -1);
    if (address === null) throw new MullError("internal", "The engine computed no logits.");
    return new Float32Array(this.#koffi.view(address, this.vocabularySize * 4));
  }

  /** Forgets everything from `position` on. False: this model can only forget all, and did. */
  forget(position: number): boolean {
    if (this.#llama.memorySeqRm(this.#memory, 0, position, -1)) return true;
    this.#llama.memoryClear(this.#memory, false);
    return false;
  }

  close(): void {
    this.#batch.close();
    this.#llama.free(this.#context);
    this.#llama.modelFree(this.#model);
    this.#abort.close();
  }

  async #append(
    total: number,
    position: number,
    step: AppendStep,
    fill: (start: number, count: number) => BatchInput,
  ): Promise<void> {
    const interrupt = (): void => this.#abort.set(true);
    this.#abort.set(false);
    step.signal.addEventListener("abort", interrupt, { once: true });
    try {
      for (let start = 0; start < total; start += BATCH_LENGTH) {
        step.signal.throwIfAborted();
        const count = Math.min(BATCH_LENGTH, total - start);
        const batch = this.#batch.finish(
          fill(start, count),
          count,
          position + start,
          start + count === total,
        );
        const code = await this.#llama.decode(this.#context, batch);
        if (code === DECODE_ABORTED) step.signal.throwIfAborted();
        if (code !== 0) {
          throw new MullError(
            "internal",
            `The engine could not read ${count} tokens (llama_decode: ${code}).`,
          );
        }
        step.progress?.(count);
      }
    } finally {
      step.signal.removeEventListener("abort", interrupt);
    }
  }
}

export interface AppendStep {
  signal: AbortSignal;
  progress?: (count: number) => void;
}

function loadModel({ koffi, variant }: Libraries, llama: Llama, options: TextModelOptions): LlamaModel {
  // Called on this thread while `llama_model_load_from_file` runs, so JavaScript may be entered.
  const type = koffi.pointer(koffi.proto("bool", ["float", "void *"]));
  const callback = koffi.register((fraction: number) => {
    options.onProgress(fraction);
    return true;
  }, type);
  try {
    const model = llama.modelLoadFromFile(options.path, {
      ...llama.modelDefaultParams(),
      load_mode: options.memoryMap ? LOAD_MODE.memoryMap : LOAD_MODE.read,
      n_gpu_layers: variant === "cpu" ? 0 : -1,
      progress_callback: callback,
    });
    if (model !== null) return model;
  } finally {
    koffi.unregister(callback);
  }
  throw new MullError("invalid_model", `${options.path}: the engine could not load this model.`, {
    hint: "Its architecture may be newer than this engine, or the memory too small for it.",
  });
}

function createContext(
  llama: Llama,
  model: LlamaModel,
  abort: AbortFlag,
  { contextLength, threads }: { contextLength: number; threads: number },
): LlamaContext {
  const context = llama.initFromModel(model, {
    ...llama.contextDefaultParams(),
    n_ctx: contextLength,
    n_batch: BATCH_LENGTH,
    n_ubatch: BATCH_LENGTH,
    n_seq_max: 1,
    n_threads: threads,
    n_threads_batch: threads,
    abort_callback: abort.callback,
    abort_callback_data: abort.data,
    no_perf: true,
  });
  if (context !== null) return context;
  throw new MullError("out_of_memory", `There is no memory for a context of ${contextLength} tokens.`, {
    hint: "Ask for a shorter one with --num-ctx.",
  });
}
