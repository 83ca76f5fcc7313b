import { abortedError, throwIfAborted } from "./store-error.ts";

/** One after the other, by key, within this process. */
export class TurnQueue {
  /** By key: settled when all who came before are done. */
  readonly #last = new Map<string, Promise<void>>();

  isBusy(key: string): boolean {
    return this.#last.has(key);
  }

  async run<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    let leave = (): void => {};
    const left = new Promise<void>((resolve) => (leave = resolve));
    const before = this.#last.get(key) ?? Promise.resolve();
    const last = before.then(() => left);
    this.#last.set(key, last);
    try {
      await unlessAborted(before, signal);
      return await work();
    } finally {
      leave();
      if (this.#last.get(key) === last) this.#last.delete(key);
    }
  }
}

/** @throws MullError `aborted` as soon as the signal fires, whatever becomes of the promise */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.reject(abortedError(signal));
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortedError(signal));
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
