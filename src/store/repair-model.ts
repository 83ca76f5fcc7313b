import { MullError } from "../spec/errors.ts";
import { shortDigest } from "./digest.ts";
import { manifestOfGgufs } from "./gguf-manifest.ts";
import { blobsOf, type Descriptor, kindOf, layersOf, type Manifest, SOURCE_ANNOTATION } from "./manifest.ts";
import { formatModelName, type ModelName } from "./model-name.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";
import { fetchBlob } from "./pull/fetch-blob.ts";
import { blobReporter } from "./pull/pull-model.ts";
import type { RemoteBlob } from "./remote-model.ts";
import { type PullOptions, pullReference, withRemote } from "./pull-reference.ts";

/**
 * Fetches what a model of the store lacks, and nothing else: its manifest stays, so that a model that was made here does
 * not become a stranger's of the same name. Only a manifest that cannot be read, or states wrong sizes, is pulled anew.
 * Call it after `verify`, which takes damaged blobs away.
 *
 * @throws MullError `invalid_model` naming a file that is not to be had any more, and those of a pull
 */
export async function repairModel(store: ModelStore, name: ModelName, options: PullOptions): Promise<void> {
  const stored = await findReadable(store, name);
  if (stored === undefined || (await statesWrongSize(store, stored))) {
    await pullReference(formatModelName(name), store, options);
    return;
  }
  const { manifest } = stored;
  const pin = await store.pin(blobsOf(manifest).map(({ digest }) => digest));
  let failure: unknown;
  try {
    for (const source of sourcesOf(stored)) {
      await fetchMissing(store, manifest, source, options).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        failure ??= error;
      });
    }
    if ((await missingOf(store, manifest.layers)).length === 0) await makeConfig(store, manifest, options);
    const [lost] = await missingOf(store, blobsOf(manifest));
    if (lost === undefined) return;
    if (failure !== undefined && MullError.wrap(failure).code !== "model_not_found") throw failure;
    throw lostError(name, lost, failure);
  } finally {
    await pin.release();
  }
}

/** Undefined when its manifest cannot be read. */
async function findReadable(store: ModelStore, name: ModelName): Promise<StoredModel | undefined> {
  try {
    return await store.find(name);
  } catch (error) {
    if (MullError.wrap(error).code === "invalid_model") return undefined;
    throw error;
  }
}

/** Blobs are what their names say: with a size that differs, the manifest is wrong. */
async function statesWrongSize(store: ModelStore, { manifest }: StoredModel): Promise<boolean> {
  const states = await Promise.all(blobsOf(manifest).map((blob) => store.blobState(blob)));
  return states.includes("wrong-size");
}

async function missingOf(store: ModelStore, blobs: readonly Descriptor[]): Promise<readonly Descriptor[]> {
  const states = await Promise.all(blobs.map((blob) => store.blobState(blob)));
  return blobs.filter((_, index) => states[index] !== "intact");
}

/** Where its blobs may be: what the model's name says, then addresses that are written at its layers. */
function sourcesOf({ name, manifest }: StoredModel): readonly string[] {
  const addresses = manifest.layers.flatMap(({ annotations }) => annotations?.[SOURCE_ANNOTATION] ?? []);
  const files = addresses.filter((address) => /^https?:\/\/[^?#]+\.gguf$/i.test(address));
  // Names of models from an address are made up.
  return [...new Set([...(name.namespace === "url" ? [] : [formatModelName(name)]), ...files])];
}

async function fetchMissing(
  store: ModelStore,
  manifest: Manifest,
  source: string,
  options: PullOptions,
): Promise<void> {
  const missing = await missingOf(store, blobsOf(manifest));
  if (missing.length === 0) return;
  const wanted = new Map(missing.map((blob) => [blob.digest, blob]));
  await withRemote(source, store, options, async (remote, signal) => {
    for (const blob of remote.blobs) {
      if (!mayBeWanted(blob, [...wanted.values()])) continue;
      const report = blobReporter(blob, options.onProgress);
      const { host } = remote.name;
      const fetched = await fetchBlob(store, blob, { origin: host, signal, onProgress: report.during });
      report.end(fetched);
      wanted.delete(fetched.digest);
    }
  });
}

/** What has no digest is known when it is there. */
function mayBeWanted({ digest, size }: RemoteBlob, wanted: readonly Descriptor[]): boolean {
  if (digest !== undefined) return wanted.some((blob) => blob.digest === digest);
  return wanted.some((blob) => size === undefined || blob.size === size);
}

/** A config that was made here is made again: it says what the headers of the other files say. */
async function makeConfig(
  store: ModelStore,
  manifest: Manifest,
  { signal }: Pick<PullOptions, "signal">,
): Promise<void> {
  if ((await missingOf(store, [manifest.config])).length === 0) return;
  const isFile = ["model", "projector", "adapter"];
  const files = [
    layersOf(manifest, "model"),
    ...["projector" as const, "adapter" as const].flatMap((kind) =>
      layersOf(manifest, kind).map((blob) => [blob]),
    ),
  ];
  const texts = manifest.layers.filter((blob) => !isFile.includes(kindOf(blob) ?? ""));
  await manifestOfGgufs(store, files, texts, signal);
}

function lostError(name: ModelName, blob: Descriptor, cause?: unknown): MullError {
  const text = formatModelName(name);
  const what = `${kindOf(blob) ?? "file"} ${shortDigest(blob.digest)}`;
  return new MullError("invalid_model", `${text}: its ${what} is not to be had where its name says.`, {
    hint: `If it was made here, make it again with mull create. mull pull ${text} would take what is there under that name.`,
    ...(cause === undefined ? {} : { cause }),
  });
}
