import { MullError } from "../spec/errors.ts";

/** Which requests are open, and whether the server is about to end. One per server. */
export class ServerLifetime {
  #draining = false;
  readonly #open = new Set<AbortController>();
  /** By Node's request, for those who know a request by its socket. */
  readonly #byIncoming = new WeakMap<object, AbortController>();
  #whenIdle: (() => void)[] = [];

  /** True when no new request is taken any more. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Requests whose answers are not complete. */
  get openRequests(): number {
    return this.#open.size;
  }

  /** @returns a function for the moment when the request's answer is complete, or nobody waits for it any more */
  open(request: AbortController, incoming?: object): () => void {
    this.#open.add(request);
    if (incoming !== undefined) this.#byIncoming.set(incoming, request);
    return () => {
      this.#open.delete(request);
      if (this.#open.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    };
  }

  /** @returns false for what is no open request of the app, or was aborted before */
  abort(incoming: object, reason: MullError): boolean {
    const request = this.#byIncoming.get(incoming);
    if (request === undefined || request.signal.aborted || !this.#open.has(request)) return false;
    request.abort(reason);
    return true;
  }

  drain(): void {
    this.#draining = true;
  }

  /** Resolves when no request is open. */
  idle(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Ends every open request: their streams close with the dialect's error. */
  cut(): void {
    const reason = new MullError("closed", "The server was told to end before this answer was complete.");
    for (const request of this.#open) request.abort(reason);
  }
}
