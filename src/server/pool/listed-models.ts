import { stat } from "node:fs/promises";
import { blobsOf } from "../../store/manifest.ts";
import type { ModelSetup } from "../../store/model-setup.ts";
import type { ModelStore, StoredModel } from "../../store/model-store.ts";
import { openStoredModel } from "../../store/open-stored-model.ts";

/** More than most lists show. */
const MOST_KNOWN = 1024;

/**
 * Models of a store for lists of all of them, which clients ask for every few seconds. What a manifest's digest stands
 * for is read once; later only whether its files are there. Nothing is hashed: that may take minutes, and whoever loads
 * a model has it checked.
 */
export class ListedModels {
  readonly #store: ModelStore;
  readonly #known = new Map<string, ModelSetup>();

  constructor(store: ModelStore) {
    this.#store = store;
  }

  /** @throws MullError `invalid_model` when a file is missing, or has another size than the manifest says */
  async open(stored: StoredModel): Promise<ModelSetup> {
    const known = this.#known.get(stored.digest);
    if (known !== undefined && (await this.#isWhole(stored))) return known;
    const setup = await openStoredModel(this.#store, stored, { unverified: "accept" });
    this.#known.delete(stored.digest);
    this.#known.set(stored.digest, setup);
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.keys().next().value as string);
    return setup;
  }

  async #isWhole({ manifest }: StoredModel): Promise<boolean> {
    const sizes = blobsOf(manifest).map(async ({ digest, size }) => {
      const stats = await stat(this.#store.paths.blob(digest)).catch(() => undefined);
      return stats?.isFile() === true && stats.size === size;
    });
    return (await Promise.all(sizes)).every(Boolean);
  }
}
