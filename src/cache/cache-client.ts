import type { CacheKey } from "./cache-key.ts";

/** Rows of a picture and what was said about them when they were put. */
export interface CachedRows {
  /** (tokens, width) float32. */
  rows: Float32Array;
  meta: unknown;
}

/** A state of the KV cache and what was said about it when it was put. */
export interface CachedSnapshot {
  state: Uint8Array;
  meta: unknown;
}

/** Facts that `mull cache ls` shows of an entry, if it has them; any others may stand beside them. */
export interface EntryFacts {
  /** Name of the model. */
  model?: string;
  /** Sizes of the pictures as decoded, in pixels. */
  pictures?: readonly { width: number; height: number }[];
  /** Rows, or positions of a snapshot. */
  tokens?: number;
}

export interface CacheStats {
  hits: number;
  misses: number;
  /** Entries written, and entries that were not: no room, a full disk, too many waiting. */
  writes: number;
  drops: number;
  /** Entries that were damaged, and were removed. */
  corrupt: number;
  /** Size of all entries on disk when they were last counted. */
  bytes: number;
}

/**
 * The cache on disk as the engine sees it. Nothing here fails because of the disk: what cannot be read is a miss,
 * what cannot be written is dropped and counted. Everything is done on a thread of its own.
 */
export interface CacheClient {
  getRows(key: CacheKey): Promise<CachedRows | undefined>;
  /** Copies the rows (tokens, width) and returns at once. `meta` is JSON, best with `EntryFacts` in it. */
  putRows(key: CacheKey, rows: Float32Array, meta: object): void;
  getSnapshot(key: CacheKey): Promise<CachedSnapshot | undefined>;
  /** Takes the state over: where it has a buffer to itself, it is empty afterwards. */
  putSnapshot(key: CacheKey, state: Uint8Array, meta: object): void;
  /** The first of these keys that a snapshot exists of: give the longest prefix first. */
  has(keys: readonly CacheKey[]): Promise<CacheKey | undefined>;
  /**
   * SHA-256 of a model file, 64 hex digits; a file that was not changed is read only once.
   * Where there is no cache, it stands for the file within this process only.
   *
   * @throws MullError `model_not_found`
   */
  fileDigest(path: string): Promise<string>;
  stats(): CacheStats;
  /** Waits until everything is written that was put before. */
  flush(): Promise<void>;
  /** Finishes writes for at most two seconds; afterwards everything is a miss. */
  close(): Promise<void>;
}
