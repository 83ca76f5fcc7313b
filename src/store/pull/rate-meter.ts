import { performance } from "node:perf_hooks";

/** Older bytes count for less: after this time, for a third. */
const MEMORY_MS = 5000;
/** What comes faster after each other is taken together. */
const SHORTEST_MS = 50;
/** Before, a rate is a guess from two or three numbers. */
const FIRST_RATE_MS = 500;

/** Bytes per second and time left of one layer, smoothed, from what was reported as completed. */
export class RateMeter {
  readonly #now: () => number;
  #last: { at: number; completed: number } | undefined;
  #since = 0;
  /** In bytes per millisecond, as if it had been 0 for ever before the first report. */
  #average = 0;

  /** @param now milliseconds of a clock that is never set; default `performance.now` */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param completed bytes; the first report says where the transfer begins, not how fast it is */
  update(completed: number): void {
    const at = this.#now();
    if (this.#last === undefined || completed < this.#last.completed) {
      this.#last = { at, completed };
      this.#since = at;
      this.#average = 0;
      return;
    }
    const elapsed = at - this.#last.at;
    if (elapsed < SHORTEST_MS) return;
    const share = 1 - Math.exp(-elapsed / MEMORY_MS);
    this.#average += share * ((completed - this.#last.completed) / elapsed - this.#average);
    this.#last = { at, completed };
  }

  /** Undefined until there is enough to tell. Sinks while nothing comes. */
  bytesPerSecond(): number | undefined {
    if (this.#last === undefined) return undefined;
    const now = this.#now();
    const measured = this.#last.at - this.#since;
    if (measured <= 0 || now - this.#since < FIRST_RATE_MS) return undefined;
    const silent = now - this.#last.at;
    // The average began at 0: what it has seen of its memory is what it can be divided by.
    const seen = 1 - Math.exp(-(measured + silent) / MEMORY_MS);
    return (1000 * this.#average * Math.exp(-silent / MEMORY_MS)) / seen;
  }

  /** Seconds until `total` bytes are there; undefined while nobody can tell. */
  secondsLeft(total: number): number | undefined {
    const rate = this.bytesPerSecond();
    if (this.#last === undefined || rate === undefined || rate < 1) return undefined;
    return Math.max(0, total - this.#last.completed) / rate;
  }
}
