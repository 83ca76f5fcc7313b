import type { Koffi } from "../native/koffi.ts";
import type { Llama, LlamaSampler, LlamaTokenDataArray, LlamaVocab } from "../native/llama.ts";
import type { Pointer } from "../native/pointer.ts";
import { MullError } from "../spec/errors.ts";

/** `struct llama_token_data`: int32 id, float32 logit, float32 p. */
const ENTRY_BYTES = 12;

/** A grammar and how far an answer has come in it: which tokens may follow. */
export class Grammar {
  readonly #llama: Llama;
  readonly #koffi: Koffi;
  readonly #sampler: LlamaSampler;
  readonly #vocabularySize: number;
  /** (1) llama_token_data: to ask about one token without the price of all. */
  readonly #one: Candidates;
  /** (vocabulary) llama_token_data, made when first needed. */
  #all: Candidates | undefined;
  #closed = false;

  /** @throws MullError `invalid_argument` if the source is not GBNF that parses */
  constructor(llama: Llama, koffi: Koffi, vocab: LlamaVocab, vocabularySize: number, source: string) {
    const sampler = llama.samplerInitGrammar(vocab, source, "root");
    if (sampler === null) {
      throw new MullError("invalid_argument", "The grammar for this answer's format cannot be used.", {
        hint: "Simplify the schema.",
      });
    }
    this.#llama = llama;
    this.#koffi = koffi;
    this.#sampler = sampler;
    this.#vocabularySize = vocabularySize;
    this.#one = allocate(koffi, 1);
  }

  allows(token: number): boolean {
    this.#one.ids[0] = token;
    this.#one.floats[1] = 0;
    this.#apply(this.#one, 1);
    return this.#one.floats[1] === 0;
  }

  /** Sets the logits of all tokens that may not follow to -infinity. */
  mask(
    logits: Float32Array, // (vocabulary) float32, changed in place
  ): void {
    const all = (this.#all ??= allocate(this.#koffi, this.#vocabularySize));
    for (let token = 0; token < logits.length; token++) {
      all.ids[3 * token] = token;
      all.floats[3 * token + 1] = logits[token] as number;
    }
    this.#apply(all, logits.length);
    for (let token = 0; token < logits.length; token++) logits[token] = all.floats[3 * token + 1] as number;
  }

  /** @param token one that is allowed: native code ends the process for any other */
  accept(token: number): void {
    this.#llama.samplerAccept(this.#sampler, token);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#llama.samplerFree(this.#sampler);
    for (const candidates of [this.#one, this.#all]) {
      if (candidates !== undefined) this.#koffi.free(candidates.address);
    }
  }

  #apply({ address }: Candidates, size: number): void {
    const array: LlamaTokenDataArray = { data: address, size, selected: -1, sorted: false };
    this.#llama.samplerApply(this.#sampler, array);
  }
}

interface Candidates {
  address: Pointer<"bytes">;
  /** Views of the same memory: entry i is at 3 * i. */
  ids: Int32Array;
  floats: Float32Array;
}

function allocate(koffi: Koffi, count: number): Candidates {
  const address = koffi.alloc("uint8", count * ENTRY_BYTES) as Pointer<"bytes">;
  const memory = koffi.view(address, count * ENTRY_BYTES);
  return { address, ids: new Int32Array(memory), floats: new Float32Array(memory) };
}
