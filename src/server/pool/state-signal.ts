import { MullError } from "../../spec/errors.ts";

/** Wakes everybody who waits for anything to change, in the order in which they began to wait. */
export interface StateSignal {
  notify(): void;
  /** @throws MullError `aborted`, or what the signal was aborted with */
  next(signal?: AbortSignal): Promise<void>;
}

export function createStateSignal(): StateSignal {
  const waiting = new Set<() => void>();
  return {
    notify: () => {
      const woken = [...waiting];
      waiting.clear();
      for (const wake of woken) wake();
    },
    next: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(abortError(signal));
        const giveUp = (): void => {
          waiting.delete(wake);
          reject(abortError(signal));
        };
        const wake = (): void => {
          signal?.removeEventListener("abort", giveUp);
          resolve();
        };
        waiting.add(wake);
        signal?.addEventListener("abort", giveUp, { once: true });
      }),
  };
}

/** Why a signal was aborted, as an error of ours. */
export function abortError(signal: AbortSignal | undefined): MullError {
  const reason: unknown = signal?.reason;
  return MullError.is(reason)
    ? reason
    : new MullError("aborted", "The request was cancelled.", { cause: reason });
}
