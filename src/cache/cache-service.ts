import { MullError } from "../spec/errors.ts";
import type { EntryKind } from "./cache-directory.ts";
import type { CacheKey } from "./cache-key.ts";
import type { CacheReply, CacheRequest } from "./cache-protocol.ts";
import type { DiskCache } from "./disk-cache.ts";
import { fileDigest } from "./file-digest.ts";
import { fileSystem } from "./file-system.ts";

export type PostReply = (reply: CacheReply, transfer: readonly ArrayBuffer[]) => void;

/** Work that is done in steps, between which those are served who wait. */
interface Job {
  /** "rows 1f0c…" of a write; a path of a digest. */
  subject: string;
  steps: Generator<void, void, undefined>;
}

/**
 * Answers the requests of one engine. Who reads has somebody waiting: that is done at once, between the steps of
 * everything else. Writes come next, in their order; model files are hashed in what time is left.
 */
export class CacheService {
  readonly #cache: DiskCache;
  readonly #post: PostReply;
  readonly #writes: Job[] = [];
  /** Digests, and the first count of entries. */
  readonly #idle: Job[] = [];
  /** Who waits for the digest of a path. */
  readonly #askers = new Map<string, number[]>();
  #scheduled = false;

  constructor(cache: DiskCache, post: PostReply) {
    this.#cache = cache;
    this.#post = post;
    // Also sweeps away what died half written.
    this.#enqueue(this.#idle, { subject: "count", steps: cache.count() });
  }

  handle(request: CacheRequest): void {
    switch (request.type) {
      case "get":
        this.#get(request.id, request.kind, request.key);
        break;
      case "find":
        this.#find(request.id, request.keys);
        break;
      case "put":
        this.#enqueue(this.#writes, {
          subject: subjectOf(request.kind, request.key),
          steps: this.#put(request),
        });
        break;
      case "flush":
        this.#enqueue(this.#writes, { subject: "flush", steps: this.#flush(request.id) });
        break;
      case "digest":
        this.#digest(request.id, request.path);
    }
  }

  #get(id: number, kind: EntryKind, key: CacheKey): void {
    this.#finishWriting(kind, key);
    const entry = this.#cache.get(kind, key);
    const { counters } = this.#cache;
    if (entry === undefined) this.#post({ type: "entry", id, counters }, []);
    else {
      const { payload, meta } = entry;
      this.#post({ type: "entry", id, counters, payload, meta }, [payload]);
    }
  }

  #find(id: number, keys: readonly CacheKey[]): void {
    const key = keys.find((each) => {
      const waiting = this.#writes.some((job) => job.subject === subjectOf("snapshot", each));
      return waiting || this.#cache.has("snapshot", each);
    });
    this.#post(
      { type: "found", id, counters: this.#cache.counters, ...(key === undefined ? {} : { key }) },
      [],
    );
  }

  /** What was put can be got: who asks for an entry that waits to be written, has it written first. */
  #finishWriting(kind: EntryKind, key: CacheKey): void {
    const subject = subjectOf(kind, key);
    const place = this.#writes.findIndex((job) => job.subject === subject);
    if (place < 0) return;
    // The first is in the middle of it, and two writes at a time would not see each other's need for room.
    if (place > 0) runToEnd(this.#writes.splice(0, 1)[0]);
    const [job] = this.#writes.splice(Math.max(0, place - 1), 1);
    runToEnd(job);
  }

  *#put(request: Extract<CacheRequest, { type: "put" }>): Generator<void, void, undefined> {
    const { id, kind, key, payload, meta } = request;
    yield* this.#cache.put(kind, key, payload, meta);
    this.#post({ type: "stored", id, counters: this.#cache.counters }, []);
  }

  *#flush(id: number): Generator<void, void, undefined> {
    yield;
    this.#post({ type: "flushed", id, counters: this.#cache.counters }, []);
  }

  #digest(id: number, path: string): void {
    const askers = this.#askers.get(path);
    if (askers !== undefined) {
      askers.push(id);
      return;
    }
    this.#askers.set(path, [id]);
    this.#enqueue(this.#idle, { subject: path, steps: this.#computeDigest(path) });
  }

  *#computeDigest(path: string): Generator<void, void, undefined> {
    const { counters } = this.#cache;
    let reply: (id: number) => CacheReply;
    try {
      const sha256 = yield* fileDigest(fileSystem, this.#cache, path);
      reply = (id) => ({ type: "digested", id, counters, sha256 });
    } catch (error) {
      reply = (id) => ({ type: "failed", id, counters, error: MullError.wrap(error).toJSON() });
    }
    const askers = this.#askers.get(path) ?? [];
    this.#askers.delete(path);
    for (const id of askers) this.#post(reply(id), []);
  }

  #enqueue(jobs: Job[], job: Job): void {
    jobs.push(job);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#writes.length + this.#idle.length === 0) return;
    this.#scheduled = true;
    // Messages that came meanwhile are handled before an immediate.
    setImmediate(() => {
      this.#scheduled = false;
      const jobs = this.#writes.length > 0 ? this.#writes : this.#idle;
      if (jobs[0]?.steps.next().done === true) jobs.shift();
      this.#schedule();
    });
  }
}

function subjectOf(kind: EntryKind, key: CacheKey): string {
  return `${kind} ${key}`;
}

function runToEnd(job: Job | undefined): void {
  let done = job === undefined;
  while (!done) done = job?.steps.next().done !== false;
}
