import { abortedError } from "../../media/abort.ts";

interface Member<P> {
  onProgress: (progress: P) => void;
}

interface Shared<T, P> {
  result: Promise<T>;
  members: Set<Member<P>>;
  controller: AbortController;
  /** What was reported last, for who joins later. */
  last: P | undefined;
}

/** Work that goes on once however many ask for it, and ends early only when all who asked have gone. */
export class SharedWork<T, P> {
  readonly #shared = new Map<string, Shared<T, P>>();

  /**
   * @param start begins the work, if nobody did
   * @throws what `onProgress` throws; MullError `aborted` when `signal` fires: at once if others stay, else when the work has ended
   */
  async join(
    key: string,
    start: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>,
    options: { signal?: AbortSignal | undefined; onProgress: (progress: P) => void },
  ): Promise<T> {
    const { signal, onProgress } = options;
    for (;;) {
      if (signal?.aborted === true) throw abortedError(signal);
      const shared = this.#shared.get(key) ?? this.#begin(key, start);
      if (!shared.controller.signal.aborted) return this.#stay(shared, onProgress, signal);
      // It is being ended: what it holds must be let go first.
      await shared.result.catch(() => {});
    }
  }

  #begin(
    key: string,
    start: (signal: AbortSignal, report: (progress: P) => void) => Promise<T>,
  ): Shared<T, P> {
    const controller = new AbortController();
    const members = new Set<Member<P>>();
    const report = (progress: P): void => {
      shared.last = progress;
      for (const { onProgress } of members) onProgress(progress);
    };
    // A tick later: `shared` must be there when it reports.
    const result = Promise.resolve()
      .then(() => start(controller.signal, report))
      .finally(() => this.#shared.delete(key));
    const shared: Shared<T, P> = { result, members, controller, last: undefined };
    this.#shared.set(key, shared);
    return shared;
  }

  #stay(
    shared: Shared<T, P>,
    onProgress: (progress: P) => void,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const member: Member<P> = {
        onProgress(progress) {
          try {
            onProgress(progress);
          } catch (error) {
            // Its own fault, and no other's.
            leave(error as Error);
          }
        },
      };
      const leave = (reason: Error): void => {
        shared.members.delete(member);
        const others = shared.members.size > 0;
        if (others) reject(reason);
        else void this.#end(shared, reason).then(() => reject(reason));
      };
      const abort = (): void => leave(abortedError(signal as AbortSignal));
      signal?.addEventListener("abort", abort);
      shared.members.add(member);
      if (shared.last !== undefined) member.onProgress(shared.last);
      shared.result
        .then(resolve, reject)
        .finally(() => {
          signal?.removeEventListener("abort", abort);
          shared.members.delete(member);
        })
        .catch(() => {});
    });
  }

  /** Resolves when it holds nothing any more. */
  async #end({ controller, result }: Shared<T, P>, reason: Error): Promise<void> {
    controller.abort(reason);
    await result.catch(() => {});
  }
}
