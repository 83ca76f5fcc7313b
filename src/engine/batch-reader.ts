import { MullError } from "../spec/errors.ts";
import { type KvCache, PADDING_SEQUENCE } from "./kv-cache.ts";
import type { BatchEntry } from "./native-batch.ts";
import type { DecodeOutcome, TextModel } from "./text-model.ts";

/** Reads batches of tokens and rows into the KV cache, making room where there is none. */
export class BatchReader {
  readonly #text: TextModel;
  readonly #kv: KvCache;
  readonly #exact: boolean;

  /**
   * @param exact fill batches of one up to two: a single row goes through other kernels, and comes out different in the
   *   last bits. Otherwise three left over are filled up to four, which kernels work on at a time: four answers get
   *   their tokens sooner than three (measured: 7B in Q4_0)
   */
  constructor(text: TextModel, kv: KvCache, exact: boolean) {
    this.#text = text;
    this.#kv = kv;
    this.#exact = exact;
  }

  /** @throws MullError `aborted`, `out_of_memory`, `internal` */
  readTokens(tokens: readonly number[], entries: readonly BatchEntry[]): Promise<void> {
    return this.#read(entries, (padded) =>
      this.#text.readTokens([...tokens, ...Array<number>(padded.length - tokens.length).fill(0)], padded),
    );
  }

  /** @throws MullError `aborted`, `out_of_memory`, `internal` */
  readRows(
    rows: Float32Array, // (entries, embeddingLength) float32
    entries: readonly BatchEntry[],
    seeEachOther: boolean = false,
  ): Promise<void> {
    return this.#read(entries, (padded) => {
      if (padded.length === entries.length) return this.#text.readRows(rows, padded, seeEachOther);
      const filled = new Float32Array(padded.length * this.#text.embeddingLength);
      filled.set(rows);
      return this.#text.readRows(filled, padded, seeEachOther);
    });
  }

  /** Reads a batch; where the cache is full, finished sequences make room, the oldest first. */
  async #read(
    entries: readonly BatchEntry[],
    read: (entries: readonly BatchEntry[]) => Promise<DecodeOutcome>,
  ): Promise<void> {
    const padding = this.#exact ? Number(entries.length === 1) : Number(entries.length % 4 === 3);
    const padded = [...entries, ...placesOf(PADDING_SEQUENCE, 0, padding, entries[0]?.output === true)];
    try {
      while (true) {
        const outcome = await read(padded);
        if (outcome === "done") return;
        if (outcome === "aborted") throw new MullError("aborted", "The request was cancelled.");
        if (this.#kv.evict()) continue;
        if (padded.length === entries.length) {
          throw new MullError("out_of_memory", "The KV cache has no room for the next token.", {
            hint: "Ask for fewer requests at once (--parallel), or shorter ones.",
          });
        }
        padded.length = entries.length;
      }
    } finally {
      if (padding > 0) this.#text.forget(PADDING_SEQUENCE, 0);
    }
  }
}

/** Places of rows that follow each other in one sequence. @param output whether logits after the last one are wanted */
export function placesOf(sequence: number, position: number, count: number, output: boolean): BatchEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    sequence,
    position: position + index,
    output: output && index === count - 1,
  }));
}
