import type { Libraries } from "./libraries.ts";
import { type StructTypes, declareStructTypes } from "./llama-structs.ts";
import type { Bytes, Pointer } from "./pointer.ts";

export type LlamaModel = Pointer<"llama_model">;
export type LlamaContext = Pointer<"llama_context">;
export type LlamaVocab = Pointer<"llama_vocab">;
export type LlamaMemory = Pointer<"llama_memory">;

/** The fields of `llama_model_params` that mull sets; the rest keeps its default. */
export interface LlamaModelParams {
  n_gpu_layers: number;
  load_mode: number;
  progress_callback: unknown;
  vocab_only: boolean;
  check_tensors: boolean;
  use_extra_bufts: boolean;
}

export interface LlamaContextParams {
  n_ctx: number;
  n_batch: number;
  n_ubatch: number;
  n_seq_max: number;
  n_threads: number;
  n_threads_batch: number;
  flash_attn_type: number;
  embeddings: boolean;
  no_perf: boolean;
  abort_callback: unknown;
  abort_callback_data: bigint | null;
  kv_unified: boolean;
}

/** Arrays of `n_tokens` entries each: either `token` or `embd` (n_tokens, n_embd) float32 is set. */
export interface LlamaBatch {
  n_tokens: number;
  token: Pointer<"bytes"> | null; // (n_tokens) int32
  embd: Pointer<"bytes"> | null; // (n_tokens, n_embd) float32
  pos: Pointer<"bytes"> | null; // (n_tokens) int32; null: continue after what is there
  n_seq_id: Pointer<"bytes"> | null; // (n_tokens) int32; null: one sequence each
  seq_id: Pointer<"bytes"> | null; // (n_tokens) pointers to int32; null: sequence 0
  logits: Pointer<"bytes"> | null; // (n_tokens) int8, which rows get logits; null: the last one only
}

/** llama.h, as far as mull uses it. Names, order and meaning are those of the header. */
export interface Llama {
  readonly structs: StructTypes;
  backendInit(): void;
  version(): string;
  modelDefaultParams(): LlamaModelParams;
  contextDefaultParams(): LlamaContextParams;
  modelLoadFromFile(path: string, params: LlamaModelParams): LlamaModel | null;
  modelFree(model: LlamaModel): void;
  initFromModel(model: LlamaModel, params: LlamaContextParams): LlamaContext | null;
  free(context: LlamaContext): void;
  nCtx(context: LlamaContext): number;
  getMemory(context: LlamaContext): LlamaMemory;
  modelGetVocab(model: LlamaModel): LlamaVocab;
  modelNCtxTrain(model: LlamaModel): number;
  modelNEmbdInp(model: LlamaModel): number;
  modelNParams(model: LlamaModel): number | bigint;
  vocabNTokens(vocab: LlamaVocab): number;
  vocabIsEog(vocab: LlamaVocab, token: number): boolean;
  /** -1: the model has none. */
  vocabBos(vocab: LlamaVocab): number;
  /** Tokens written to `tokens`, or minus the number that would have been. */
  tokenize(
    vocab: LlamaVocab,
    text: Bytes,
    textLength: number,
    tokens: Bytes,
    capacity: number,
    addSpecial: boolean,
    parseSpecial: boolean,
  ): number;
  /** Bytes written to `buffer`, or minus the number that would have been. Not terminated, not always UTF-8. */
  tokenToPiece(
    vocab: LlamaVocab,
    token: number,
    buffer: Bytes,
    capacity: number,
    lstrip: number,
    special: boolean,
  ): number;
  memoryClear(memory: LlamaMemory, data: boolean): void;
  /** Forgets positions [from, to) of a sequence; -1 is open. False: this model cannot forget a part. */
  memorySeqRm(memory: LlamaMemory, sequence: number, from: number, to: number): boolean;
  /** 0 done, 1 no room in the KV cache, 2 aborted, negative: fatal. Runs on libuv's pool. */
  decode(context: LlamaContext, batch: LlamaBatch): Promise<number>;
  /** (n_vocab) float32 of the i-th output row; -1 is the last. Valid until the next decode. */
  getLogitsIth(context: LlamaContext, index: number): Pointer<"bytes"> | null;
}

/** Declares the functions of llama.h on the loaded library. */
export function declareLlama({ koffi, llama }: Libraries): Llama {
  const structs = declareStructTypes(koffi);
  const pointer = "void *";
  const declare = (name: string, result: unknown, parameters: unknown[]) =>
    llama.func(`llama_${name}`, result as string, parameters as string[]);
  const decode = declare("decode", "int32", [pointer, structs.batch]);
  return {
    structs,
    backendInit: declare("backend_init", "void", []),
    version: declare("version", "str", []),
    modelDefaultParams: declare("model_default_params", structs.modelParams, []),
    contextDefaultParams: declare("context_default_params", structs.contextParams, []),
    modelLoadFromFile: declare("model_load_from_file", pointer, ["str", structs.modelParams]),
    modelFree: declare("model_free", "void", [pointer]),
    initFromModel: declare("init_from_model", pointer, [pointer, structs.contextParams]),
    free: declare("free", "void", [pointer]),
    nCtx: declare("n_ctx", "uint32", [pointer]),
    getMemory: declare("get_memory", pointer, [pointer]),
    modelGetVocab: declare("model_get_vocab", pointer, [pointer]),
    modelNCtxTrain: declare("model_n_ctx_train", "int32", [pointer]),
    modelNEmbdInp: declare("model_n_embd_inp", "int32", [pointer]),
    modelNParams: declare("model_n_params", "uint64", [pointer]),
    vocabNTokens: declare("vocab_n_tokens", "int32", [pointer]),
    vocabIsEog: declare("vocab_is_eog", "bool", [pointer, "int32"]),
    vocabBos: declare("vocab_bos", "int32", [pointer]),
    tokenize: declare("tokenize", "int32", [pointer, pointer, "int32", pointer, "int32", "bool", "bool"]),
    tokenToPiece: declare("token_to_piece", "int32", [pointer, "int32", pointer, "int32", "int32", "bool"]),
    memoryClear: declare("memory_clear", "void", [pointer, "bool"]),
    memorySeqRm: declare("memory_seq_rm", "bool", [pointer, "int32", "int32", "int32"]),
    decode: (context, batch) =>
      new Promise((resolve, reject) => {
        decode.async(context, batch, (error: Error | null, code: number) =>
          error === null ? resolve(code) : reject(error),
        );
      }),
    getLogitsIth: declare("get_logits_ith", pointer, [pointer, "int32"]),
  };
}
