import { performance } from "node:perf_hooks";
import { throwIfAborted } from "../../media/abort.ts";
import { MullError } from "../../spec/errors.ts";
import { shortDigest } from "../digest.ts";
import { blobsOf, type Manifest } from "../manifest.ts";
import type { ModelName } from "../model-name.ts";
import type { ModelStore, Pin, StoredModel } from "../model-store.ts";
import type { FetchedBlob, RemoteBlob, RemoteModel } from "../remote-model.ts";
import type { OnTransferProgress } from "../transfer-progress.ts";
import { type BlobProgress, fetchBlob, fetchedBytes, type FetchOptions, findFetched } from "./fetch-blob.ts";
import type { TransferOptions } from "./transfer-options.ts";

export interface PullOptions extends TransferOptions {
  signal?: AbortSignal;
  /** From `pulling <12 hex>` on; `pulling manifest` comes before, from who asks for the manifest. */
  onProgress?: OnTransferProgress;
}

/** Between two reports of one blob. */
const REPORT_MS = 80;

/**
 * Fetches what is missing of a model, and puts it into the store. What is there is not fetched again: neither whole
 * blobs, nor the bytes of a download that ended early, in whatever way.
 *
 * @throws MullError `digest_mismatch`, `server_unreachable`, `unauthorized`, `model_not_found`, `insufficient_storage`,
 *   `store_unavailable`, `aborted`; what was fetched stays for the next try
 */
export async function pullModel(
  store: ModelStore,
  remote: RemoteModel,
  options: PullOptions = {},
): Promise<StoredModel> {
  const { signal, onProgress = () => {} } = options;
  throwIfAborted(signal);
  // What is pinned and then found stays there.
  const pin = await store.pin(remote.blobs.flatMap(({ digest }) => digest ?? []));
  let stored: StoredModel;
  let unused: boolean;
  try {
    const present = await findPresent(store, remote, pin, signal);
    const fetched = await fetchAll(store, remote, { pin, present }, options);
    onProgress({ status: "verifying sha256 digest" });
    const { manifest, bytes } = await makeManifest(store, remote, fetched, pin);
    throwIfAborted(signal);
    onProgress({ status: "writing manifest" });
    unused = await leavesUnused(store, remote.name, manifest);
    stored = await store.writeManifest(remote.name, bytes);
  } finally {
    await pin.release();
  }
  if (unused) await removeUnused(store, onProgress);
  onProgress({ status: "success" });
  return stored;
}

/** A manifest that is made here has a config that nobody could pin before: it may have been pruned meanwhile. */
async function makeManifest(
  store: ModelStore,
  remote: RemoteModel,
  fetched: readonly FetchedBlob[],
  pin: Pin,
): ReturnType<RemoteModel["manifest"]> {
  const made = await remote.manifest(fetched);
  await pin.add(blobsOf(made.manifest).map(({ digest }) => digest));
  // Pinned by now: made once more, it stays.
  return (await store.blobState(made.manifest.config)) === "absent" ? remote.manifest(fetched) : made;
}

type Present = ReadonlyMap<RemoteBlob, FetchedBlob>;

/** Blobs that are in the store and intact. The rest must fit on the disk. */
async function findPresent(
  store: ModelStore,
  { blobs }: RemoteModel,
  pin: Pin,
  signal: AbortSignal | undefined,
): Promise<Present> {
  const present = new Map<RemoteBlob, FetchedBlob>();
  let missing = 0;
  for (const blob of blobs) {
    throwIfAborted(signal);
    let found = await findFetched(store, blob, signal);
    if (found !== undefined && blob.digest === undefined) {
      await pin.add([found.digest]);
      found = await findFetched(store, blob, signal);
    }
    if (found !== undefined) present.set(blob, found);
    else missing += Math.max(0, (blob.size ?? 0) - (await fetchedBytes(store, blob)));
  }
  if (missing > 0) await store.requireSpace(missing);
  return present;
}

async function fetchAll(
  store: ModelStore,
  { name, blobs }: RemoteModel,
  { pin, present }: { pin: Pin; present: Present },
  options: PullOptions,
): Promise<FetchedBlob[]> {
  const fetched: FetchedBlob[] = [];
  for (const blob of blobs) {
    const report = blobReporter(blob, options.onProgress);
    const onProgress = report.during;
    const there =
      present.get(blob) ??
      (await fetchPinned(store, blob, pin, { ...options, origin: name.host, onProgress }));
    report.end(there);
    fetched.push(there);
  }
  return fetched;
}

async function fetchPinned(
  store: ModelStore,
  blob: RemoteBlob,
  pin: Pin,
  options: FetchOptions,
): Promise<FetchedBlob> {
  for (;;) {
    const fetched = await fetchBlob(store, blob, options);
    if (blob.digest !== undefined) return fetched;
    // Nobody could pin it before its digest was known: a prune may have come between.
    await pin.add([fetched.digest]);
    if ((await store.blobState(fetched)) !== "absent") return fetched;
  }
}

/** At most one line in `REPORT_MS`, and the last one always. */
export function blobReporter(
  { digest, label }: RemoteBlob,
  onProgress: OnTransferProgress = () => {},
): { during: (progress: BlobProgress) => void; end: (blob: FetchedBlob) => void } {
  const status = `pulling ${digest === undefined ? label : shortDigest(digest)}`;
  const named = digest === undefined ? { status } : { status, digest };
  let last = Number.NEGATIVE_INFINITY;
  let isComplete = false;
  return {
    during({ completed, total }) {
      const now = performance.now();
      if (now - last < REPORT_MS) return;
      last = now;
      isComplete = completed === total;
      onProgress({ ...named, ...(total === undefined ? {} : { total }), completed });
    },
    end({ size }) {
      if (!isComplete) onProgress({ ...named, total: size, completed: size });
    },
  };
}

async function leavesUnused(store: ModelStore, name: ModelName, manifest: Manifest): Promise<boolean> {
  try {
    const replaced = await store.find(name);
    const needed = new Set(blobsOf(manifest).map(({ digest }) => digest));
    return replaced !== undefined && blobsOf(replaced.manifest).some(({ digest }) => !needed.has(digest));
  } catch (error) {
    // Nobody can read which blobs it needed.
    if (MullError.is(error) && error.code === "invalid_model") return true;
    throw error;
  }
}

/** The model is there: that something could not be removed is no failure of the pull. */
async function removeUnused(store: ModelStore, onProgress: OnTransferProgress): Promise<void> {
  onProgress({ status: "removing unused layers" });
  try {
    await store.prune();
  } catch (error) {
    onProgress({ status: `couldn't remove unused layers: ${MullError.wrap(error).message}` });
  }
}
