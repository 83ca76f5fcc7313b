import type { OnTransferProgress, TransferProgress } from "../store/transfer-progress.ts";

/**
 * Work that tells how far it is, as what it tells. A reader that is slower than the work gets the newest state of each
 * step; leaving the loop, or `signal`, aborts the work.
 *
 * @throws what the work throws, after everything that it told
 */
export async function* progressStream(
  signal: AbortSignal,
  work: (onProgress: OnTransferProgress, signal: AbortSignal) => Promise<unknown>,
): AsyncGenerator<TransferProgress, void, undefined> {
  const left = new AbortController();
  const waiting: TransferProgress[] = [];
  let wake = (): void => {};
  let ended = false;
  const tell: OnTransferProgress = (progress) => {
    const last = waiting.at(-1);
    if (last !== undefined && last.status === progress.status && last.digest === progress.digest)
      waiting.pop();
    waiting.push(progress);
    wake();
  };
  const working = work(tell, AbortSignal.any([signal, left.signal])).finally(() => {
    ended = true;
    wake();
  });
  // Its failure is thrown below; until then it is nobody's.
  working.catch(() => {});
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (ended) break;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    await working;
  } finally {
    left.abort();
  }
}
