import { MullError } from "../../spec/errors.ts";
import type { Digest } from "../digest.ts";
import { blobsOf, layersOf, type Manifest, parseManifest } from "../manifest.ts";
import { formatModelName, type ModelName } from "../model-name.ts";
import type { DamagedModel, StoredModel } from "../model-store.ts";
import type { BlobFiles } from "./blob-files.ts";
import { millisecondsOf } from "./file-system.ts";
import { locateManifest, placeManifest, removeManifest } from "./manifest-files.ts";
import {
  type ManifestScan,
  MOST_MANIFEST_BYTES,
  newestFirst,
  readManifest,
  scanManifests,
  storedModel,
} from "./manifest-scan.ts";
import { pinnedDigests } from "./pins.ts";
import { isKnown, modelsByBlob } from "./references.ts";
import { changeStore, type StoreContext } from "./store-context.ts";

/** The models of a store, by their manifests. */
export class ModelFiles {
  readonly #context: StoreContext;
  readonly #blobs: BlobFiles;
  /** A scan that is to begin when whoever asks for one now has said so. */
  #nextScan: Promise<ManifestScan> | undefined;

  constructor(context: StoreContext, blobs: BlobFiles) {
    this.#context = context;
    this.#blobs = blobs;
  }

  async list(): Promise<readonly StoredModel[]> {
    const { models } = await this.#sharedScan();
    return newestFirst(models);
  }

  async damaged(): Promise<readonly DamagedModel[]> {
    return (await this.#sharedScan()).damaged;
  }

  async find(name: ModelName): Promise<StoredModel | undefined> {
    const place = await locateManifest(this.#context, name);
    if (!place.isThere) return undefined;
    const found = readManifest(this.#context.fs, place);
    if (found !== undefined && "problem" in found) throw damagedError(found);
    return found;
  }

  async findByDigest(digest: Digest): Promise<StoredModel | undefined> {
    const models = await this.list();
    const byLayer = ({ manifest }: StoredModel): boolean =>
      layersOf(manifest, "model").some((layer) => layer.digest === digest);
    return models.find((model) => model.digest === digest) ?? models.find(byLayer);
  }

  async write(name: ModelName, bytes: Uint8Array): Promise<StoredModel> {
    const manifest = parseManifest(bytes, formatModelName(name));
    return changeStore(this.#context, async (confirm) => {
      const unverified: Digest[] = [];
      for (const blob of blobsOf(manifest)) {
        const state = await this.#blobs.state(blob);
        if (state === "absent" || state === "wrong-size") throw incompleteError(name, blob.digest, state);
        if (state === "unverified") unverified.push(blob.digest);
      }
      await this.#blobs.makeDurable(unverified);
      const place = await locateManifest(this.#context, name);
      await confirm();
      await placeManifest(this.#context, place.path, bytes);
      const { mtimeNs } = await this.#context.fs.lstat(place.path);
      return storedModel(place.name, bytes, manifest, new Date(millisecondsOf(mtimeNs)));
    });
  }

  async copy(from: ModelName, to: ModelName): Promise<StoredModel> {
    const place = await locateManifest(this.#context, from);
    if (!place.isThere) throw notFoundError(from);
    return this.write(to, this.#context.fs.readFileSync(place.path, MOST_MANIFEST_BYTES).bytes);
  }

  /** First the name, then the blobs: whoever dies in between leaves blobs that the next prune removes. */
  remove(name: ModelName): Promise<{ freedBytes: number }> {
    return changeStore(this.#context, async (confirm) => {
      const place = await locateManifest(this.#context, name);
      if (!place.isThere) throw notFoundError(name);
      const manifest = this.#manifestAt(place.path);
      await confirm();
      await removeManifest(this.#context, place.path);
      return { freedBytes: manifest === undefined ? 0 : await this.#removeBlobs(manifest) };
    });
  }

  /** Undefined for one that cannot be read: it can be removed all the same, and a prune finds its blobs. */
  #manifestAt(path: string): Manifest | undefined {
    try {
      return parseManifest(this.#context.fs.readFileSync(path, MOST_MANIFEST_BYTES).bytes, path);
    } catch {
      return undefined;
    }
  }

  async #removeBlobs(manifest: Manifest): Promise<number> {
    const scan = await this.#scan();
    if (!isKnown(scan)) return 0;
    const needed = modelsByBlob(scan);
    const pinned = await pinnedDigests(this.#context);
    let freedBytes = 0;
    for (const { digest } of blobsOf(manifest)) {
      if (!needed.has(digest) && !pinned.has(digest)) freedBytes += await this.#blobs.remove(digest);
    }
    return freedBytes;
  }

  #sharedScan(): Promise<ManifestScan> {
    this.#nextScan ??= Promise.resolve().then(() => {
      this.#nextScan = undefined;
      return this.#scan();
    });
    return this.#nextScan;
  }

  #scan(): Promise<ManifestScan> {
    return scanManifests(this.#context.fs, this.#context.paths.manifests);
  }
}

function notFoundError(name: ModelName): MullError {
  return new MullError("model_not_found", `There is no model ${formatModelName(name)} in the store.`, {
    hint: "'mull list' shows those that are there.",
  });
}

function damagedError({ name, path, problem }: DamagedModel): MullError {
  return new MullError(
    "invalid_model",
    `The manifest of ${formatModelName(name)} (${path}) cannot be used: ${problem}`,
    { hint: "Pull the model again, or remove it with 'mull rm'." },
  );
}

function incompleteError(name: ModelName, digest: Digest, state: "absent" | "wrong-size"): MullError {
  const problem = state === "absent" ? "is not in the store" : "has another size than the manifest says";
  return new MullError("invalid_model", `${formatModelName(name)} needs ${digest}, which ${problem}.`, {
    hint: "Pull the model again.",
    details: { digest },
  });
}
