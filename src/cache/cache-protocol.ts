import type { SerializedError } from "../spec/errors.ts";
import type { EntryKind } from "./cache-directory.ts";
import type { CacheKey } from "./cache-key.ts";
import type { DiskCacheCounters } from "./disk-cache.ts";

/** What the worker is started with. */
export interface CacheWorkerData {
  directory: string;
  limitBytes: number;
}

/** What the engine's thread asks of the cache's worker. Buffers change hands and are not copied. */
export type CacheRequest =
  | { type: "get"; id: number; kind: EntryKind; key: CacheKey }
  | { type: "put"; id: number; kind: EntryKind; key: CacheKey; payload: Uint8Array; meta: string }
  /** The first of these that exists as a snapshot. */
  | { type: "find"; id: number; keys: readonly CacheKey[] }
  | { type: "digest"; id: number; path: string }
  /** Answered when everything is written that was put before. */
  | { type: "flush"; id: number };

/** One per request, except warnings; the counters are those of the moment. */
export type CacheReply =
  | { type: "entry"; id: number; counters: DiskCacheCounters; payload?: ArrayBuffer; meta?: unknown }
  | { type: "stored"; id: number; counters: DiskCacheCounters }
  | { type: "found"; id: number; counters: DiskCacheCounters; key?: CacheKey }
  | { type: "digested"; id: number; counters: DiskCacheCounters; sha256: string }
  | { type: "failed"; id: number; counters: DiskCacheCounters; error: SerializedError }
  | { type: "flushed"; id: number; counters: DiskCacheCounters }
  | { type: "warning"; message: string };
