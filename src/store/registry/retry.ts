import { MullError } from "../../spec/errors.ts";
import type { Clock } from "../http/http-client.ts";

export interface RetryOptions {
  clock: Clock;
  signal?: AbortSignal | undefined;
}

const MOST_TRIES = 6;
/** A server that wants to be left alone for longer is told to the caller. */
const MOST_WAIT_MS = 5 * 60 * 1000;

/**
 * Calls `work` until it succeeds: at most six times in a row without progress, with 1, 2, 4, 8, 16 s between (less by
 * chance, so that many clients do not come back together), or as long as the server wants.
 *
 * @param work calls `progressed` whenever it has got further: then it has all its tries again
 * @throws MullError what `work` threw last; at once what trying again cannot help
 */
export async function retry<T>(
  work: (progressed: () => void) => Promise<T>,
  { clock, signal }: RetryOptions,
): Promise<T> {
  let tries = 0;
  for (;;) {
    tries += 1;
    try {
      return await work(() => {
        tries = 0;
      });
    } catch (error) {
      if (!canHelp(error) || tries >= MOST_TRIES) throw error;
      const wanted = error.details["retryAfterSeconds"];
      const wait =
        typeof wanted === "number" ? wanted * 1000 : 2 ** (tries - 1) * 1000 * (0.5 + Math.random() / 2);
      if (wait > MOST_WAIT_MS) throw error;
      await clock.sleep(wait, signal);
    }
  }
}

function canHelp(error: unknown): error is MullError {
  if (!MullError.is(error) || !error.retryable) return false;
  if (error.code === "aborted" || error.code === "digest_mismatch") return false;
  const { reason, status } = error.details;
  if (reason === "redirect" || reason === "certificate") return false;
  return typeof status !== "number" || status >= 500 || status === 408 || status === 429;
}
