import type { Koffi } from "../native/koffi.ts";
import type { LlamaBatch } from "../native/llama.ts";
import type { Pointer } from "../native/pointer.ts";

/** Tokens (or rows) per call into native code, at most; an embedding model takes a whole text at once. */
export const BATCH_LENGTH = 256;
/** Sequences that the KV cache can tell apart: LLAMA_MAX_SEQ of the pinned build. */
export const MOST_SEQUENCES = 256;

/** Where a token or row goes. */
export interface BatchEntry {
  sequence: number;
  position: number;
  /** Coordinates of a row of a picture, for models that have them: time is the position. */
  down?: number;
  across?: number;
  /** Whether logits (or the state) after it are wanted. */
  output: boolean;
}

/** The arrays that a batch points to: native memory, because the call goes on while JavaScript runs. */
export class NativeBatch {
  readonly #koffi: Koffi;
  readonly #token: NativeArray; // (length) int32
  readonly #embd: NativeArray; // (length, embeddingLength) float32
  readonly #pos: NativeArray; // (length) int32; rows with coordinates (4, length): time, down, across, 0
  readonly #coordinates: boolean;
  readonly #sequenceCount: NativeArray; // (length) int32, all 1
  readonly #sequence: NativeArray; // (length) pointers into #sequenceIds
  readonly #sequenceIds: NativeArray; // (MOST_SEQUENCES) int32: 0, 1, 2, …
  readonly #logits: NativeArray; // (length) int8

  /**
   * @param length most entries
   * @param coordinates whether rows have four of them (M-RoPE)
   */
  constructor(koffi: Koffi, embeddingLength: number, length: number, coordinates: boolean) {
    this.#koffi = koffi;
    this.#coordinates = coordinates;
    const allocate = (bytes: number): NativeArray => {
      const address = koffi.alloc("uint8", bytes) as Pointer<"bytes">;
      return { address, memory: koffi.view(address, bytes) };
    };
    this.#token = allocate(length * 4);
    this.#embd = allocate(length * embeddingLength * 4);
    this.#pos = allocate(length * 4 * (coordinates ? 4 : 1));
    this.#sequenceCount = allocate(length * 4);
    this.#sequence = allocate(length * 8);
    this.#sequenceIds = allocate(MOST_SEQUENCES * 4);
    this.#logits = allocate(length);
    new Int32Array(this.#sequenceCount.memory).fill(1);
    new Int32Array(this.#sequenceIds.memory).set(Array.from({ length: MOST_SEQUENCES }, (_, id) => id));
  }

  ofTokens(tokens: readonly number[], entries: readonly BatchEntry[]): LlamaBatch {
    new Int32Array(this.#token.memory).set(tokens);
    return { ...this.#place(entries), token: this.#token.address, embd: null };
  }

  ofRows(
    rows: Float32Array, // (entries, embeddingLength) float32
    entries: readonly BatchEntry[],
  ): LlamaBatch {
    new Float32Array(this.#embd.memory).set(rows);
    if (this.#coordinates) this.#placeOnGrid(entries);
    return { ...this.#place(entries), token: null, embd: this.#embd.address };
  }

  close(): void {
    for (const array of [
      this.#token,
      this.#embd,
      this.#pos,
      this.#sequenceCount,
      this.#sequence,
      this.#sequenceIds,
      this.#logits,
    ]) {
      this.#koffi.free(array.address);
    }
  }

  /** Behind the positions, one list for each further coordinate. */
  #placeOnGrid(entries: readonly BatchEntry[]): void {
    const coordinates = new Int32Array(this.#pos.memory);
    const count = entries.length;
    for (const [index, { position, down = position, across = position }] of entries.entries()) {
      coordinates[count + index] = down;
      coordinates[2 * count + index] = across;
      coordinates[3 * count + index] = 0;
    }
  }

  #place(entries: readonly BatchEntry[]): Omit<LlamaBatch, "token" | "embd"> {
    const positions = new Int32Array(this.#pos.memory);
    const sequences = new BigInt64Array(this.#sequence.memory);
    const outputs = new Int8Array(this.#logits.memory);
    for (const [index, { sequence, position, output }] of entries.entries()) {
      positions[index] = position;
      sequences[index] = this.#sequenceIds.address + BigInt(4 * sequence);
      outputs[index] = output ? 1 : 0;
    }
    return {
      n_tokens: entries.length,
      pos: this.#pos.address,
      n_seq_id: this.#sequenceCount.address,
      seq_id: this.#sequence.address,
      logits: this.#logits.address,
    };
  }
}

interface NativeArray {
  address: Pointer<"bytes">;
  memory: ArrayBuffer;
}
