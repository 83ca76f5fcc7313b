import type { Digest } from "../../../store/digest.ts";
import type { ModelStore, Pin } from "../../../store/model-store.ts";

/** How long a file waits for the request that makes a model of it, in ms. */
const WAIT_MS = 60 * 60 * 1000;

interface Held {
  pin: Promise<Pin>;
  timer: NodeJS.Timeout;
}

/** Files that were uploaded and that no model names yet: whoever tidies up the store meanwhile leaves them there. */
export class HeldUploads {
  readonly #store: ModelStore;
  readonly #held = new Map<Digest, Held>();

  constructor(store: ModelStore) {
    this.#store = store;
  }

  /** For an hour from now, or until `release`. */
  async hold(digest: Digest): Promise<void> {
    const before = this.#held.get(digest);
    if (before !== undefined) clearTimeout(before.timer);
    const pin = before?.pin ?? this.#store.pin([digest]);
    const timer = setTimeout(() => void this.release([digest]), WAIT_MS).unref();
    this.#held.set(digest, { pin, timer });
    try {
      await pin;
    } catch (error) {
      clearTimeout(timer);
      this.#held.delete(digest);
      throw error;
    }
  }

  /** A model names them now, or nobody waits for them any more. */
  async release(digests: readonly Digest[]): Promise<void> {
    for (const digest of digests) {
      const held = this.#held.get(digest);
      if (held === undefined) continue;
      clearTimeout(held.timer);
      this.#held.delete(digest);
      await held.pin.then((pin) => pin.release()).catch(() => {});
    }
  }
}
