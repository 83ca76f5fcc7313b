import { performance } from "node:perf_hooks";
import type { ExtentSet, Gap } from "./extents.ts";

/** Fetched from the front in windows, so that hashing, which must go in order, keeps up and reads what is in memory. */
const MOST_WINDOW_BYTES = 64 * 1024 * 1024;
const LEAST_WINDOW_BYTES = 4 * 1024 * 1024;
/** Less, or sooner done, is not worth another request. */
const LEAST_SHARE_BYTES = 256 * 1024;
const LEAST_SHARE_MS = 1000;
/** A younger connection had no time to show how fast it is. */
const YOUNG_MS = 1000;

/** What one connection fetches. */
export interface Assignment {
  readonly start: number;
  /** Bytes before it have come. */
  position: number;
  /** Moves towards `position` when somebody takes a share. */
  end: number;
  /** Of the monotonic clock. */
  readonly since: number;
}

/** Which connection fetches what: every missing byte is assigned once. */
export class RangePlan {
  readonly size: number;
  readonly #extents: ExtentSet;
  readonly #windowBytes: number;
  readonly #active = new Set<Assignment>();

  constructor(extents: ExtentSet, size: number, connections: number) {
    this.#extents = extents;
    this.size = size;
    const even = Math.ceil(size / connections / 2);
    this.#windowBytes = Math.min(Math.max(even, LEAST_WINDOW_BYTES), MOST_WINDOW_BYTES);
  }

  get active(): number {
    return this.#active.size;
  }

  /** The first window that nobody fetches, or else a share of what the slowest connection has before it. */
  take(): Assignment | undefined {
    for (const { start, end } of this.#free(0)) {
      return this.#assign({ start, end: Math.min(end, start + this.#windowBytes) });
    }
    return this.#share();
  }

  /** All that is missing from `offset` on up to the next byte that is there. */
  takeFrom(offset: number): Assignment | undefined {
    for (const gap of this.#free(offset)) return this.#assign(gap);
    return undefined;
  }

  /** It is done, or given up: what it has not fetched is missing again. */
  release(assignment: Assignment): void {
    this.#active.delete(assignment);
  }

  #assign({ start, end }: Gap): Assignment {
    const assignment = { start, position: start, end, since: performance.now() };
    this.#active.add(assignment);
    return assignment;
  }

  *#free(from: number): Generator<Gap> {
    const taken = [...this.#active].sort((a, b) => a.start - b.start);
    for (const gap of this.#extents.gaps(this.size)) {
      let start = Math.max(gap.start, from);
      for (const assignment of taken) {
        if (assignment.end <= start || assignment.start >= gap.end) continue;
        if (assignment.start > start) yield { start, end: assignment.start };
        start = Math.max(start, assignment.end);
      }
      if (start < gap.end) yield { start, end: gap.end };
    }
  }

  /** So that one slow connection does not hold up the end. Shares are such that both would end at the same time. */
  #share(): Assignment | undefined {
    const now = performance.now();
    const rates = [...this.#active].map((assignment) => ({ assignment, rate: rateOf(assignment, now) }));
    const fastest = Math.max(...rates.map(({ rate }) => rate));
    let slowest: { assignment: Assignment; rate: number } | undefined;
    let longest = LEAST_SHARE_MS;
    for (const { assignment, rate } of rates) {
      const left = assignment.end - assignment.position;
      const duration = left / rate;
      if (now - assignment.since < YOUNG_MS || left < 2 * LEAST_SHARE_BYTES || duration <= longest) continue;
      longest = duration;
      slowest = { assignment, rate };
    }
    if (slowest === undefined) return undefined;
    const { assignment, rate } = slowest;
    const left = assignment.end - assignment.position;
    const kept = Math.max(LEAST_SHARE_BYTES, Math.floor((left * rate) / (rate + fastest)));
    const share = {
      start: assignment.position + Math.min(kept, left - LEAST_SHARE_BYTES),
      end: assignment.end,
    };
    assignment.end = share.start;
    return this.#assign(share);
  }
}

/** Bytes per millisecond, more than 0. */
function rateOf({ start, position, since }: Assignment, now: number): number {
  return Math.max(position - start, 1) / Math.max(now - since, 1);
}
