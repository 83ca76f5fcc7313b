import { createHash } from "node:crypto";
import { MullError } from "../../spec/errors.ts";
import { type Claims, claimSuffix } from "./claims.ts";
import { abortedError, throwIfAborted } from "./store-error.ts";
import { TurnQueue } from "./turn-queue.ts";

export interface WaitOptions {
  signal?: AbortSignal | undefined;
  /** Called about once a second while waiting. */
  onWait?: (() => void) | undefined;
}

const FIRST_POLL_MS = 2;
const LAST_POLL_MS = 100;
const WAIT_NOTICE_MS = 1000;

/**
 * Locks between processes and machines that share a folder, without `flock`: Lamport's bakery. Who wants a lock takes
 * the number after the highest and waits until no living process has a lower one. The file of a ticket names its
 * process; a dead one's ticket counts for nothing. Waiters are served in their order.
 */
export class ProcessLock {
  readonly #claims: Claims;
  readonly #turns = new TurnQueue();

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  /**
   * Not reentrant.
   *
   * @param work is given a check to make before what cannot be undone: it throws when others took this process for
   *   dead, because it stood still, and the lock with it
   */
  exclusively<T>(
    key: string,
    work: (confirm: () => Promise<void>) => Promise<T>,
    options: WaitOptions = {},
  ): Promise<T> {
    const { onWait } = options;
    const notice = onWait === undefined ? undefined : setInterval(onWait, WAIT_NOTICE_MS);
    const run = async (): Promise<T> => {
      const ticket = await this.#acquire(lockName(key), options);
      clearInterval(notice);
      try {
        return await work(() => this.#confirm(ticket));
      } finally {
        await this.#claims.drop(ticket);
      }
    };
    return this.#turns.run(key, run, options.signal).finally(() => clearInterval(notice));
  }

  /** Does `work` unless somebody else holds that lock, or waits for it: then nothing, and undefined. */
  async ifFree<T>(key: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#turns.isBusy(key)) return undefined;
    return this.#turns.run(key, async () => {
      const lock = lockName(key);
      const ticket = await this.#takeTicket(lock);
      try {
        return (await this.#isNext(lock, ticket)) ? await work() : undefined;
      } finally {
        await this.#claims.drop(ticket);
      }
    });
  }

  async #acquire(lock: string, { signal }: WaitOptions): Promise<string> {
    const ticket = await this.#takeTicket(lock);
    try {
      let pollMs = FIRST_POLL_MS;
      while (!(await this.#isNext(lock, ticket))) {
        await sleep(pollMs, signal);
        pollMs = Math.min(pollMs * 1.5, LAST_POLL_MS);
      }
      return ticket;
    } catch (error) {
      await this.#claims.drop(ticket);
      throw error;
    }
  }

  /** While this process chooses its number the others wait: it may come before them. */
  async #takeTicket(lock: string): Promise<string> {
    const suffix = claimSuffix();
    const choosing = `choosing.${lock}.${suffix}`;
    await this.#claims.hold(choosing);
    try {
      const taken = (await this.#claims.list(`ticket.${lock}`)).map(numberOf);
      const ticket = ticketName(lock, Math.max(0, ...taken) + 1, suffix);
      await this.#claims.hold(ticket);
      return ticket;
    } finally {
      await this.#claims.drop(choosing);
    }
  }

  async #isNext(lock: string, ticket: string): Promise<boolean> {
    // Two looks, in this order: who was choosing and is not any more has its ticket by then. Who begins to choose
    // after the first look sees ours and takes a higher number.
    for (const name of await this.#claims.list(`choosing.${lock}`)) {
      if (await this.#isAlive(name)) return false;
    }
    for (const name of await this.#claims.list(`ticket.${lock}`)) {
      // Numbers have the same length, so that names sort as they do; for the same number the rest decides.
      if (name < ticket && (await this.#isAlive(name))) return false;
    }
    return true;
  }

  async #isAlive(name: string): Promise<boolean> {
    if ((await this.#claims.liveness(name)) !== "dead") return true;
    await this.#claims.bury(name);
    return false;
  }

  async #confirm(ticket: string): Promise<void> {
    if (await this.#claims.stands(ticket)) return;
    throw new MullError(
      "store_unavailable",
      "Another process took over the model store while this one stood still.",
      {
        hint: "Nothing is damaged. Repeat the command.",
      },
    );
  }
}

function lockName(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 24);
}

function ticketName(lock: string, number: number, suffix: string): string {
  return `ticket.${lock}.${String(number).padStart(15, "0")}.${suffix}`;
}

function numberOf(name: string): number {
  return Number(/^ticket\.[0-9a-f]+\.(\d{1,15})\./.exec(name)?.[1] ?? 0);
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      if (signal?.aborted) reject(abortedError(signal));
      else resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener("abort", wake);
  });
}
