import { Worker } from "node:worker_threads";
import { processEntry } from "../process/entry.ts";
import { MullError } from "../spec/errors.ts";
import type { EntryKind } from "./cache-directory.ts";
import type { CacheClient, CachedRows, CachedSnapshot, CacheStats } from "./cache-client.ts";
import type { CacheKey } from "./cache-key.ts";
import type { CacheReply, CacheRequest, CacheWorkerData } from "./cache-protocol.ts";
import type { DiskCacheCounters } from "./disk-cache.ts";
import { noCache } from "./no-cache.ts";

export interface WorkerCacheOptions extends CacheWorkerData {
  onWarning: (message: string) => void;
  /** The worker's module. Default: the cache's. */
  entry?: URL;
}

type Answer = Exclude<CacheReply, { type: "warning" }>;
type Unnumbered<Request> = Request extends { id: number } ? Omit<Request, "id"> : never;

/** Waiting to be written at most; what comes on top is dropped. */
const MAX_WAITING_BYTES = 256 * 1024 * 1024;
/** A disk that answers later than this (a network that is gone) is slower than computing. */
const READ_TIMEOUT_MS = 5000;
const CLOSE_TIMEOUT_MS = 2000;
/** A worker that dies so often is not started again. */
const MAX_CRASHES = 3;

/**
 * The cache behind a worker thread, which is started by the first call and keeps the process alive only while
 * somebody waits for an answer. If it dies, its requests are misses, and the next call starts another.
 */
export class WorkerCache implements CacheClient {
  readonly #options: WorkerCacheOptions;
  readonly #answers = new Map<number, (answer: Answer | undefined) => void>();
  #worker: Worker | undefined;
  #lastId = 0;
  #crashes = 0;
  #closed = false;
  /** Requests that somebody waits for: all but writes. */
  #waiters = 0;
  #waitingBytes = 0;
  #hits = 0;
  #misses = 0;
  #drops = 0;
  /** Of workers that died, and of the one that lives. */
  #past: DiskCacheCounters = { writes: 0, drops: 0, corrupt: 0, bytes: 0 };
  #present: DiskCacheCounters = { writes: 0, drops: 0, corrupt: 0, bytes: 0 };

  constructor(options: WorkerCacheOptions) {
    this.#options = options;
  }

  async getRows(key: CacheKey): Promise<CachedRows | undefined> {
    const entry = await this.#get("rows", key);
    return entry && { rows: new Float32Array(entry.payload), meta: entry.meta }; // (tokens, width) float32
  }

  putRows(key: CacheKey, rows: Float32Array, meta: object): void {
    if (!this.#hasRoom(rows.byteLength)) return;
    const copy = new Float32Array(rows); // (tokens, width) float32
    this.#put("rows", key, new Uint8Array(copy.buffer), meta);
  }

  async getSnapshot(key: CacheKey): Promise<CachedSnapshot | undefined> {
    const entry = await this.#get("snapshot", key);
    return entry && { state: new Uint8Array(entry.payload), meta: entry.meta };
  }

  putSnapshot(key: CacheKey, state: Uint8Array, meta: object): void {
    if (!this.#hasRoom(state.byteLength)) return;
    const whole = state.byteLength === state.buffer.byteLength;
    this.#put("snapshot", key, whole ? state : new Uint8Array(state), meta);
  }

  async has(keys: readonly CacheKey[]): Promise<CacheKey | undefined> {
    if (keys.length === 0) return undefined;
    const answer = await this.#ask({ type: "find", keys }, READ_TIMEOUT_MS);
    return answer?.type === "found" ? answer.key : undefined;
  }

  async fileDigest(path: string): Promise<string> {
    // Keys of a stand-in would fill the disk with what nobody finds: there is none while anything can be written.
    while (this.#usable) {
      const answer = await this.#ask({ type: "digest", path });
      if (answer?.type === "digested") return answer.sha256;
      if (answer?.type === "failed") throw MullError.from(answer.error);
    }
    return noCache.fileDigest(path);
  }

  stats(): CacheStats {
    const past = this.#past;
    const present = this.#present;
    return {
      hits: this.#hits,
      misses: this.#misses,
      writes: past.writes + present.writes,
      drops: this.#drops + past.drops + present.drops,
      corrupt: past.corrupt + present.corrupt,
      bytes: present.bytes,
    };
  }

  async flush(): Promise<void> {
    if (this.#worker !== undefined) await this.#ask({ type: "flush" });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const worker = this.#worker;
    const written = worker === undefined ? undefined : this.#ask({ type: "flush" }, CLOSE_TIMEOUT_MS);
    this.#closed = true;
    await written;
    this.#worker = undefined;
    this.#abandon();
    await worker?.terminate();
  }

  async #get(kind: EntryKind, key: CacheKey): Promise<{ payload: ArrayBuffer; meta: unknown } | undefined> {
    const answer = await this.#ask({ type: "get", kind, key }, READ_TIMEOUT_MS);
    if (answer?.type === "entry" && answer.payload !== undefined) {
      this.#hits += 1;
      return { payload: answer.payload, meta: answer.meta };
    }
    this.#misses += 1;
    return undefined;
  }

  #hasRoom(bytes: number): boolean {
    if (!this.#closed && this.#waitingBytes + bytes <= MAX_WAITING_BYTES) return true;
    this.#drops += 1;
    return false;
  }

  #put(kind: EntryKind, key: CacheKey, payload: Uint8Array, meta: object): void {
    const bytes = payload.byteLength;
    const id = this.#send({ type: "put", kind, key, payload, meta: JSON.stringify(meta) });
    if (id === undefined) {
      this.#drops += 1;
      return;
    }
    this.#waitingBytes += bytes;
    this.#answers.set(id, (answer) => {
      this.#waitingBytes -= bytes;
      if (answer === undefined) this.#drops += 1;
    });
  }

  /** The worker's answer; undefined when it died, is not to be had, or takes longer than the limit. */
  #ask(request: Unnumbered<CacheRequest>, limitMs?: number): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const id = this.#send(request);
      if (id === undefined) {
        resolve(undefined);
        return;
      }
      this.#waiters += 1;
      this.#worker?.ref();
      const settle = (answer: Answer | undefined): void => {
        clearTimeout(timer);
        this.#answers.delete(id);
        this.#waiters -= 1;
        if (this.#waiters === 0) this.#worker?.unref();
        resolve(answer);
      };
      const timer = limitMs === undefined ? undefined : setTimeout(() => settle(undefined), limitMs);
      this.#answers.set(id, settle);
    });
  }

  /** @returns the request's number, or undefined when there is no worker to send it to */
  #send(request: Unnumbered<CacheRequest>): number | undefined {
    if (!this.#usable) return undefined;
    this.#lastId += 1;
    try {
      this.#worker ??= this.#startWorker();
      post(this.#worker, { ...request, id: this.#lastId });
      return this.#lastId;
    } catch {
      // No thread is to be had.
      return undefined;
    }
  }

  get #usable(): boolean {
    return !this.#closed && this.#crashes < MAX_CRASHES;
  }

  #startWorker(): Worker {
    const { directory, limitBytes, entry = processEntry("cache/cache-worker.js") } = this.#options;
    const worker = new Worker(entry, { workerData: { directory, limitBytes }, env: {}, execArgv: [] });
    worker.unref();
    worker.on("message", (reply: CacheReply) => this.#receive(reply));
    worker.on("error", (error: Error) => this.#lose(worker, error.message));
    worker.on("exit", (code) => this.#lose(worker, `it ended with code ${code}`));
    return worker;
  }

  #receive(reply: CacheReply): void {
    if (reply.type === "warning") {
      this.#options.onWarning(reply.message);
      return;
    }
    this.#present = reply.counters;
    const answer = this.#answers.get(reply.id);
    this.#answers.delete(reply.id);
    answer?.(reply);
  }

  #lose(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#crashes += 1;
    const { writes, drops, corrupt } = this.#present;
    this.#past.writes += writes;
    this.#past.drops += drops;
    this.#past.corrupt += corrupt;
    this.#present = { writes: 0, drops: 0, corrupt: 0, bytes: this.#present.bytes };
    if (this.#crashes === MAX_CRASHES) {
      this.#options.onWarning(`The cache in ${this.#options.directory} is off: its worker died, ${reason}.`);
    }
    this.#abandon();
  }

  #abandon(): void {
    for (const [id, answer] of this.#answers) {
      this.#answers.delete(id);
      answer(undefined);
    }
  }
}

/** A payload changes hands if it can; memory that is shared or not JavaScript's own is copied. */
function post(worker: Worker, request: CacheRequest): void {
  const transfer = request.type === "put" ? [request.payload.buffer as ArrayBuffer] : [];
  try {
    worker.postMessage(request, transfer);
  } catch (error) {
    if (transfer.length === 0) throw error;
    worker.postMessage(request);
  }
}
