import { MullError } from "../spec/errors.ts";
import type { Model } from "../spec/model.ts";

/** The models of a provider: each is loaded at its first use, once, and closed with the provider. */
export class SharedModels {
  /** Where they are, for errors: an address, or "mull:" for this process. */
  readonly url: string;
  readonly #open: (modelId: string) => Promise<Model>;
  readonly #models = new Map<string, Promise<Model>>();
  #closed = false;

  constructor(url: string, open: (modelId: string) => Promise<Model>) {
    this.url = url;
    this.#open = open;
  }

  /**
   * The model, loaded now if it was not. A caller that gives up does not end a load that others wait for.
   *
   * @throws MullError of loading, which the next caller tries again; `closed`; the signal's reason
   */
  get(modelId: string, signal: AbortSignal | undefined): Promise<Model> {
    if (this.#closed) return Promise.reject(new MullError("closed", "This mull provider is closed."));
    let model = this.#models.get(modelId);
    if (model === undefined) {
      model = this.#open(modelId);
      this.#models.set(modelId, model);
      model.catch(() => this.#models.delete(modelId));
    }
    return signal === undefined ? model : orAborted(model, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const models = [...this.#models.values()];
    this.#models.clear();
    // One that failed to load has told its callers.
    await Promise.all(models.map(async (model) => (await model.catch(() => undefined))?.close()));
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
