import { MullError } from "../spec/errors.ts";

/** The error of a cancelled request; `signal.reason`, which can be anything, becomes its cause. */
export function abortedError(signal: AbortSignal): MullError {
  return new MullError("aborted", "The request was cancelled.", { cause: signal.reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal);
}
