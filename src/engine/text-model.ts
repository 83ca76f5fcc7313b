import { AbortFlag } from "../native/abort-flag.ts";
import type { Ggml } from "../native/ggml.ts";
import type { Libraries } from "../native/libraries.ts";
import type {
  Llama,
  LlamaBatch,
  LlamaContext,
  LlamaMemory,
  LlamaModel,
  LlamaVocab,
} from "../native/llama.ts";
import type { Pointer } from "../native/pointer.ts";
import { MullError } from "../spec/errors.ts";
import { Grammar } from "./grammar.ts";
import { defaultContextLength, kvCells } from "./memory-plan.ts";
import { BATCH_LENGTH, type BatchEntry, NativeBatch } from "./native-batch.ts";
import { type OpenModelOptions, applyAdapters, createContext, loadModel } from "./open-text-model.ts";

export interface TextModelOptions extends OpenModelOptions {
  /** LoRA adapters, each at full scale; their files are checked. */
  adapters: readonly string[];
  /** Undefined: what the model was trained for, at most 4096. */
  contextLength: number | undefined;
  /** Contexts that can be full at the same time: the KV cache holds `parallel` times the context length. */
  parallel: (contextLength: number) => number;
  /** Contexts that the KV cache holds beyond those. Default 0. */
  spareContexts?: number;
  threads: number;
  /** Most rows that are read in one piece because they see each other. Default 0. */
  mostRows?: number;
  /** Pool the states of a text into one, as the file of an embedding model says. */
  embeddingModel: boolean;
}

/** MROPE and IMROPE of `enum llama_rope_type`: positions of rows have several coordinates. */
const COORDINATE_ROPES: readonly number[] = [8, 40];

/** What became of a batch. `no-room`: nothing was read, the KV cache is full. `aborted`: nothing was read. */
export type DecodeOutcome = "done" | "no-room" | "aborted";

/** Results of `llama_decode`. */
const OUTCOMES: Readonly<Record<number, DecodeOutcome>> = { 0: "done", 1: "no-room", 2: "aborted" };

/**
 * A text model and one context: weights, vocabulary, a KV cache that holds many sequences. All of llama.cpp that the
 * engine uses. Positions are counted by the caller; every call but `interrupt` may be made only one at a time.
 */
export class TextModel {
  readonly contextLength: number;
  readonly trainedContextLength: number;
  readonly parallel: number;
  /** Positions that the KV cache holds, of all sequences together. */
  readonly cells: number;
  /** Width of an input row. */
  readonly embeddingLength: number;
  /** Width of a state. */
  readonly stateLength: number;
  readonly vocabularySize: number;
  readonly parameters: number;
  /** Whether a sequence can be cut at a position. If not (recurrent models), only whole sequences can be reused. */
  readonly canCut: boolean;
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
    this.trainedContextLength = llama.modelNCtxTrain(this.#model);
    this.contextLength = options.contextLength ?? defaultContextLength(this.trainedContextLength);
    this.parallel = options.parallel(this.contextLength);
    const cells = kvCells(this.contextLength, this.parallel + (options.spareContexts ?? 0));
    // Attention without a causal mask looks at a text as a whole: it must come in one piece.
    const least = Math.max(BATCH_LENGTH, options.mostRows ?? 0);
    const batchLength = options.embeddingModel ? Math.max(least, cells) : least;
    this.#context = createContext(llama, this.#model, this.#abort, { ...options, cells, batchLength });
    applyAdapters(llama, this.#model, this.#context, options.adapters);
    this.#memory = llama.getMemory(this.#context);
    this.cells = llama.nCtx(this.#context);
    this.embeddingLength = llama.modelNEmbdInp(this.#model);
    this.stateLength = llama.modelNEmbdOut(this.#model);
    this.vocabularySize = llama.vocabNTokens(this.#vocab);
    this.parameters = Number(llama.modelNParams(this.#model));
    this.canCut = !llama.modelIsRecurrent(this.#model) && !llama.modelIsHybrid(this.#model);
    const hasCoordinates = COORDINATE_ROPES.includes(llama.modelRopeType(this.#model));
    this.#batch = new NativeBatch(libraries.koffi, this.embeddingLength, batchLength, hasCoordinates);
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

  /**
   * Bytes of a token's text: not always whole characters.
   * @param special whether a control token is written out; by default it has no text
   */
  piece(token: number, special = false): Uint8Array {
    let buffer = new Uint8Array(64);
    let length = this.#llama.tokenToPiece(this.#vocab, token, buffer, buffer.length, 0, special);
    if (length < 0) {
      buffer = new Uint8Array(-length);
      length = this.#llama.tokenToPiece(this.#vocab, token, buffer, buffer.length, 0, special);
    }
    return buffer.subarray(0, Math.max(0, length));
  }

  endsGeneration(token: number): boolean {
    return this.#llama.vocabIsEog(this.#vocab, token);
  }

  /** @throws MullError `invalid_argument` if the grammar does not parse */
  grammar(source: string): Grammar {
    return new Grammar(this.#llama, this.#koffi, this.#vocab, this.vocabularySize, source);
  }

  /** Reads tokens, each at its place, in one call; at most BATCH_LENGTH. */
  async readTokens(tokens: readonly number[], entries: readonly BatchEntry[]): Promise<DecodeOutcome> {
    return this.#decode(this.#batch.ofTokens(tokens, entries));
  }

  /**
   * Reads rows as if they were the embeddings of tokens; at most BATCH_LENGTH, or `mostRows`.
   * @param seeEachOther whether each sees those after it, too
   */
  async readRows(
    rows: Float32Array, // (entries, embeddingLength) float32
    entries: readonly BatchEntry[],
    seeEachOther: boolean,
  ): Promise<DecodeOutcome> {
    const batch = this.#batch.ofRows(rows, entries);
    if (!seeEachOther) return this.#decode(batch);
    this.#llama.setCausalAttn(this.#context, false);
    try {
      return await this.#decode(batch);
    } finally {
      this.#llama.setCausalAttn(this.#context, true);
    }
  }

  /** Logits after the entry at `index` of the last batch, valid until the next one: (vocabulary) float32. */
  logits(index: number): Float32Array {
    return this.#floats(this.#llama.getLogitsIth(this.#context, index), this.vocabularySize);
  }

  /** Whether batches also yield states. */
  set yieldsStates(on: boolean) {
    this.#llama.setEmbeddings(this.#context, on);
  }

  /** The last layer's state after the entry at `index` of the last batch: (stateLength) float32, a copy. */
  state(index: number): Float32Array {
    return this.#floats(this.#llama.getEmbeddingsIth(this.#context, index), this.stateLength).slice();
  }

  /** The pooled state of a sequence of the last batch: (stateLength) float32, a copy. */
  pooledState(sequence: number): Float32Array {
    return this.#floats(this.#llama.getEmbeddingsSeq(this.#context, sequence), this.stateLength).slice();
  }

  /** Ends the batch in progress soon; its outcome is `aborted`. */
  interrupt(): void {
    this.#abort.set(true);
  }

  /** Forgets everything of a sequence from `position` on. False: this model can only forget all, and did. */
  forget(sequence: number, position: number): boolean {
    if (this.#llama.memorySeqRm(this.#memory, sequence, position, -1)) return true;
    this.#llama.memorySeqRm(this.#memory, sequence, -1, -1);
    return false;
  }

  /** Forgets everything of all sequences. */
  clear(): void {
    this.#llama.memoryClear(this.#memory, false);
  }

  /** Makes the sequence `to`, which must be empty, begin with the first `positions` of another. Copies nothing. */
  share(from: number, to: number, positions: number): void {
    this.#llama.memorySeqCp(this.#memory, from, to, 0, this.canCut ? positions : -1);
  }

  /** Size of what `save` gives. */
  stateBytes(sequence: number): number {
    return this.#llama.stateSeqGetSize(this.#context, sequence);
  }

  /** The KV state of a sequence as bytes, to be given to `restore` of a model with the same files and context. */
  async save(sequence: number): Promise<Uint8Array> {
    const state = new Uint8Array(this.stateBytes(sequence));
    const written = await this.#llama.stateSeqGetData(this.#context, state, state.length, sequence);
    return state.subarray(0, written);
  }

  /** False: the KV cache has no contiguous room for it, or it is of another model; the sequence is empty then. */
  async restore(sequence: number, state: Uint8Array): Promise<boolean> {
    const read = await this.#llama.stateSeqSetData(this.#context, state, state.length, sequence);
    if (read === state.length) return true;
    this.#llama.memorySeqRm(this.#memory, sequence, -1, -1);
    return false;
  }

  /** Positions of a sequence as the native cache counts them. */
  positions(sequence: number): number {
    return this.#llama.memorySeqPosMax(this.#memory, sequence) + 1;
  }

  close(): void {
    this.#batch.close();
    this.#llama.free(this.#context);
    this.#llama.modelFree(this.#model);
    this.#abort.close();
  }

  async #decode(batch: LlamaBatch): Promise<DecodeOutcome> {
    this.#abort.set(false);
    const code = await this.#llama.decode(this.#context, batch);
    const outcome = OUTCOMES[code];
    if (outcome !== undefined) return outcome;
    throw new MullError(
      "internal",
      `The engine could not read ${batch.n_tokens} tokens (llama_decode: ${code}).`,
    );
  }

  #floats(address: Pointer<"bytes"> | null, count: number): Float32Array {
    if (address === null) throw new MullError("internal", "The engine computed no output there.");
    return new Float32Array(this.#koffi.view(address, count * 4));
  }
}
