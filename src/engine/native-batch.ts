import type { Koffi } from "../native/koffi.ts";
import type { LlamaBatch } from "../native/llama.ts";
import type { Pointer } from "../native/pointer.ts";

/** Tokens (or rows) per call into native code: also the longest wait of a cancelled prefill on a GPU. */
export const BATCH_LENGTH = 256;

/** What a batch consists of: tokens or rows. */
export type BatchInput = Pick<LlamaBatch, "token" | "embd">;

/** The arrays that a batch points to: native memory, because the call goes on while JavaScript runs. */
export class NativeBatch {
  readonly #koffi: Koffi;
  readonly #token: NativeArray; // (BATCH_LENGTH) int32
  readonly #embd: NativeArray; // (BATCH_LENGTH, embeddingLength) float32
  readonly #pos: NativeArray; // (BATCH_LENGTH) int32
  readonly #logits: NativeArray; // (BATCH_LENGTH) int8

  constructor(koffi: Koffi, embeddingLength: number) {
    this.#koffi = koffi;
    const allocate = (bytes: number): NativeArray => {
      const address = koffi.alloc("uint8", bytes) as Pointer<"bytes">;
      return { address, memory: koffi.view(address, bytes) };
    };
    this.#token = allocate(BATCH_LENGTH * 4);
    this.#embd = allocate(BATCH_LENGTH * embeddingLength * 4);
    this.#pos = allocate(BATCH_LENGTH * 4);
    this.#logits = allocate(BATCH_LENGTH);
  }

  setTokens(tokens: readonly number[]): BatchInput {
    new Int32Array(this.#token.memory).set(tokens);
    return { token: this.#token.address, embd: null };
  }

  setRows(rows: Float32Array): BatchInput {
    new Float32Array(this.#embd.memory).set(rows);
    return { token: null, embd: this.#embd.address };
  }

  finish(input: BatchInput, count: number, position: number, last: boolean): LlamaBatch {
    const positions = new Int32Array(this.#pos.memory);
    for (let index = 0; index < count; index++) positions[index] = position + index;
    // Only the row after which a token is chosen needs logits.
    const outputs = new Int8Array(this.#logits.memory).fill(0);
    if (last) outputs[count - 1] = 1;
    return {
      n_tokens: count,
      ...input,
      pos: this.#pos.address,
      n_seq_id: null,
      seq_id: null,
      logits: this.#logits.address,
    };
  }

  close(): void {
    for (const array of [this.#token, this.#embd, this.#pos, this.#logits]) this.#koffi.free(array.address);
  }
}

interface NativeArray {
  address: Pointer<"bytes">;
  memory: ArrayBuffer;
}
