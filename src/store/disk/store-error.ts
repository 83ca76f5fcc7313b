import { MullError } from "../../spec/errors.ts";
import { errorCode } from "./file-system.ts";

/** Thrown by what a caller gave (a stream, work to do): it goes back as it is, and is no fault of the store. */
export class CallersError extends Error {
  constructor(error: unknown) {
    super("an error of the caller's", { cause: error });
  }
}

/** What to throw instead of what was thrown within the store. */
export function publicError(error: unknown, root: string): unknown {
  return error instanceof CallersError ? error.cause : storeError(error, root);
}

/**
 * Whatever went wrong as the error to tell: a full disk is `insufficient_storage`, any other failure of the system is
 * `store_unavailable`.
 */
export function storeError(error: unknown, root: string): MullError {
  if (MullError.is(error)) return error;
  const code = errorCode(error);
  const problem = error instanceof Error ? error.message : String(error);
  const options = { details: { code, root }, cause: error };
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return new MullError(
        "insufficient_storage",
        `The disk of the model store ${root} is full: ${problem}.`,
        {
          ...options,
          hint: "Remove models with 'mull rm', or other files, and repeat; what is whole in the store stays.",
        },
      );
    case "EROFS":
    case "EACCES":
    case "EPERM":
      return new MullError("store_unavailable", `The model store ${root} refuses access: ${problem}.`, {
        ...options,
        hint: "Give your user the right to read and write it, or name another folder in MULL_MODELS.",
      });
    case "EMFILE":
    case "ENFILE":
      return new MullError("store_unavailable", `Too many files are open: ${problem}.`, {
        ...options,
        hint: "Raise the limit (ulimit -n) or repeat later.",
      });
    default:
      if (/^E[A-Z0-9]+$/.test(code)) break;
      return MullError.wrap(error);
  }
  return new MullError("store_unavailable", `The model store ${root} does not work: ${problem}.`, {
    ...options,
    hint: "Check the disk; 'mull verify' tells which models are whole.",
  });
}

export function readOnlyError(root: string): MullError {
  return new MullError("store_unavailable", `The model store ${root} is only read, never written.`, {
    hint: "It belongs to another program. Copy the model into mull's own store first: mull import.",
  });
}

/** @throws MullError `aborted` when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

export function abortedError(signal: AbortSignal): MullError {
  return MullError.is(signal.reason)
    ? signal.reason
    : new MullError("aborted", "The request was cancelled.", { cause: signal.reason });
}
