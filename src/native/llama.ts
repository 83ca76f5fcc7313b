import type { LibraryHandle } from "koffi";
import type { Libraries } from "./libraries.ts";
import { type StructTypes, declareStructTypes } from "./llama-structs.ts";
import type { Bytes, Pointer } from "./pointer.ts";

export type LlamaModel = Pointer<"llama_model">;
export type LlamaContext = Pointer<"llama_context">;
export type LlamaVocab = Pointer<"llama_vocab">;
export type LlamaMemory = Pointer<"llama_memory">;
export type LlamaSampler = Pointer<"llama_sampler">;
export type LlamaAdapter = Pointer<"llama_adapter_lora">;

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
  pooling_type: number;
  attention_type: number;
  kv_unified: boolean;
}

/** `llama_token_data_array`: `data` is (size) of { int32 id, float32 logit, float32 p }. */
export interface LlamaTokenDataArray {
  data: Pointer<"bytes">;
  size: number;
  selected: number;
  sorted: boolean;
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
  /** All files of a split model in order, whatever they are called. */
  modelLoadFromSplits(paths: readonly string[], count: number, params: LlamaModelParams): LlamaModel | null;
  modelFree(model: LlamaModel): void;
  /** Freed with the model. Null: the file is no LoRA adapter for it. Some faults in the file end the process. */
  adapterLoraInit(model: LlamaModel, path: string): LlamaAdapter | null;
  /** The adapters that a context applies from now on, each at its scale. 0: done. */
  setAdaptersLora(
    context: LlamaContext,
    adapters: BigInt64Array, // (count) pointers
    count: number,
    scales: Float32Array, // (count) float32
  ): number;
  initFromModel(model: LlamaModel, params: LlamaContextParams): LlamaContext | null;
  free(context: LlamaContext): void;
  nCtx(context: LlamaContext): number;
  getMemory(context: LlamaContext): LlamaMemory;
  modelGetVocab(model: LlamaModel): LlamaVocab;
  modelNCtxTrain(model: LlamaModel): number;
  modelNEmbdInp(model: LlamaModel): number;
  /** `enum llama_rope_type` */
  modelRopeType(model: LlamaModel): number;
  modelNParams(model: LlamaModel): number | bigint;
  modelNEmbdOut(model: LlamaModel): number;
  /** The state of a sequence cannot be cut: it is one vector per layer, not one per position. */
  modelIsRecurrent(model: LlamaModel): boolean;
  modelIsHybrid(model: LlamaModel): boolean;
  modelHasEncoder(model: LlamaModel): boolean;
  modelHasDecoder(model: LlamaModel): boolean;
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
  /** Makes `to` hold the same positions [0, until) as `from`; with a unified cache nothing is copied. */
  memorySeqCp(memory: LlamaMemory, from: number, to: number, start: number, until: number): void;
  memorySeqPosMax(memory: LlamaMemory, sequence: number): number;
  stateSeqGetSize(context: LlamaContext, sequence: number): number;
  /** Bytes written; runs on libuv's pool. */
  stateSeqGetData(context: LlamaContext, target: Bytes, size: number, sequence: number): Promise<number>;
  /** Bytes read, or 0: there is no contiguous room, or the data does not fit this context. */
  stateSeqSetData(context: LlamaContext, source: Bytes, size: number, sequence: number): Promise<number>;
  /** Whether decoding also yields the last layer's states. */
  setEmbeddings(context: LlamaContext, on: boolean): void;
  setCausalAttn(context: LlamaContext, on: boolean): void;
  /** (n_embd_out) float32 of the i-th token of the last batch. */
  getEmbeddingsIth(context: LlamaContext, index: number): Pointer<"bytes"> | null;
  /** (n_embd_out) float32 of a sequence, pooled. */
  getEmbeddingsSeq(context: LlamaContext, sequence: number): Pointer<"bytes"> | null;
  poolingType(context: LlamaContext): number;
  /** Null if the grammar does not parse. */
  samplerInitGrammar(vocab: LlamaVocab, grammar: string, root: string): LlamaSampler | null;
  /** Sets the logit of every token that the grammar does not allow next to -infinity. */
  samplerApply(sampler: LlamaSampler, candidates: LlamaTokenDataArray): void;
  /** Throws inside native code (the process dies) for a token that the grammar does not allow. */
  samplerAccept(sampler: LlamaSampler, token: number): void;
  samplerFree(sampler: LlamaSampler): void;
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
  const getData = declare("state_seq_get_data", "size_t", [pointer, pointer, "size_t", "int32"]);
  const setData = declare("state_seq_set_data", "size_t", [pointer, pointer, "size_t", "int32"]);
  const tokenDataArray = koffi.inout(koffi.pointer(structs.tokenDataArray));
  return {
    structs,
    backendInit: declare("backend_init", "void", []),
    version: declare("version", "str", []),
    modelDefaultParams: declare("model_default_params", structs.modelParams, []),
    contextDefaultParams: declare("context_default_params", structs.contextParams, []),
    modelLoadFromFile: declare("model_load_from_file", pointer, ["str", structs.modelParams]),
    modelLoadFromSplits: declare("model_load_from_splits", pointer, ["str *", "size_t", structs.modelParams]),
    modelFree: declare("model_free", "void", [pointer]),
    adapterLoraInit: declare("adapter_lora_init", pointer, [pointer, "str"]),
    setAdaptersLora: declare("set_adapters_lora", "int32", [pointer, pointer, "size_t", pointer]),
    initFromModel: declare("init_from_model", pointer, [pointer, structs.contextParams]),
    free: declare("free", "void", [pointer]),
    nCtx: declare("n_ctx", "uint32", [pointer]),
    getMemory: declare("get_memory", pointer, [pointer]),
    modelGetVocab: declare("model_get_vocab", pointer, [pointer]),
    modelNCtxTrain: declare("model_n_ctx_train", "int32", [pointer]),
    modelNEmbdInp: declare("model_n_embd_inp", "int32", [pointer]),
    modelRopeType: declare("model_rope_type", "int32", [pointer]),
    modelNParams: declare("model_n_params", "uint64", [pointer]),
    vocabNTokens: declare("vocab_n_tokens", "int32", [pointer]),
    vocabIsEog: declare("vocab_is_eog", "bool", [pointer, "int32"]),
    vocabBos: declare("vocab_bos", "int32", [pointer]),
    tokenize: declare("tokenize", "int32", [pointer, pointer, "int32", pointer, "int32", "bool", "bool"]),
    tokenToPiece: declare("token_to_piece", "int32", [pointer, "int32", pointer, "int32", "int32", "bool"]),
    memoryClear: declare("memory_clear", "void", [pointer, "bool"]),
    memorySeqRm: declare("memory_seq_rm", "bool", [pointer, "int32", "int32", "int32"]),
    modelNEmbdOut: declare("model_n_embd_out", "int32", [pointer]),
    modelIsRecurrent: declare("model_is_recurrent", "bool", [pointer]),
    modelIsHybrid: declare("model_is_hybrid", "bool", [pointer]),
    modelHasEncoder: declare("model_has_encoder", "bool", [pointer]),
    modelHasDecoder: declare("model_has_decoder", "bool", [pointer]),
    memorySeqCp: declare("memory_seq_cp", "void", [pointer, "int32", "int32", "int32", "int32"]),
    memorySeqPosMax: declare("memory_seq_pos_max", "int32", [pointer, "int32"]),
    stateSeqGetSize: declare("state_seq_get_size", "size_t", [pointer, "int32"]),
    stateSeqGetData: (...call) => onPool(getData, call),
    stateSeqSetData: (...call) => onPool(setData, call),
    setEmbeddings: declare("set_embeddings", "void", [pointer, "bool"]),
    setCausalAttn: declare("set_causal_attn", "void", [pointer, "bool"]),
    getEmbeddingsIth: declare("get_embeddings_ith", pointer, [pointer, "int32"]),
    getEmbeddingsSeq: declare("get_embeddings_seq", pointer, [pointer, "int32"]),
    poolingType: declare("pooling_type", "int32", [pointer]),
    samplerInitGrammar: declare("sampler_init_grammar", pointer, [pointer, "str", "str"]),
    samplerApply: declare("sampler_apply", "void", [pointer, tokenDataArray]),
    samplerAccept: declare("sampler_accept", "void", [pointer, "int32"]),
    samplerFree: declare("sampler_free", "void", [pointer]),
    decode: (...call) => onPool(decode, call),
    getLogitsIth: declare("get_logits_ith", pointer, [pointer, "int32"]),
  };
}

/** Runs a native function on libuv's pool, so that the event loop goes on. */
function onPool(native: ReturnType<LibraryHandle["func"]>, call: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    native.async(...call, (error: Error | null, result: number | bigint) =>
      error === null ? resolve(Number(result)) : reject(error),
    );
  });
}
