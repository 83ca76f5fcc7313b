import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { type Digest, hexOf } from "../digest.ts";
import type { ModelStore } from "../model-store.ts";
import type { FetchedBlob, RemoteBlob } from "../remote-model.ts";
import { Download } from "./download.ts";
import { concludeJournal, discardPartial, heldBytes, PartialFile, readJournal } from "./partial-file.ts";
import { askSize, receiveSizeless, receiveSmall, SMALL_BYTES } from "./receive-small.ts";
import { mismatchError } from "./server-errors.ts";
import { SharedWork } from "./shared-work.ts";
import type { DownloadOptions, TransferOptions } from "./transfer-options.ts";

export interface BlobProgress {
  completed: number;
  total: number | undefined;
}

export interface FetchOptions extends TransferOptions {
  /** Host, for messages; downloads from different hosts are different. */
  origin: string;
  signal?: AbortSignal | undefined;
  onProgress: (progress: BlobProgress) => void;
}

const downloads = new SharedWork<FetchedBlob, BlobProgress>();

/**
 * A blob that is in the store and intact afterwards. Whoever asks for one that is being fetched, in this process or
 * another, waits for that and sees how far it is.
 */
export function fetchBlob(store: ModelStore, blob: RemoteBlob, options: FetchOptions): Promise<FetchedBlob> {
  const { origin, signal, onProgress, ...transfer } = options;
  const name = partialName(blob);
  if (name === undefined) {
    const { signal: own } = signal === undefined ? new AbortController() : { signal };
    return receive(store, blob, undefined, transferOptions(own, onProgress));
  }
  const key = [store.paths.root, origin, name].join("\n");
  return downloads.join(
    key,
    (shared, report) => {
      let isWaiting = true;
      const onWait = (): void => {
        void heldBytes(store.paths, name).then((completed) => {
          if (isWaiting) report({ completed, total: blob.size });
        });
      };
      return store.exclusively(
        name,
        async () => {
          isWaiting = false;
          const there = await findFetched(store, blob, shared);
          if (there !== undefined) report({ completed: there.size, total: there.size });
          return there ?? receive(store, blob, name, transferOptions(shared, report));
        },
        { signal: shared, onWait },
      );
    },
    { signal, onProgress },
  );

  function transferOptions(
    own: AbortSignal,
    report: (progress: BlobProgress) => void,
  ): DownloadOptions & { report: typeof report } {
    const onProgress = (completed: number): void => report({ completed, total: blob.size });
    return { ...transfer, origin, signal: own, onProgress, report };
  }
}

/** Bytes of a blob that need not be fetched any more, as an earlier download left them. */
export async function fetchedBytes(store: ModelStore, blob: RemoteBlob): Promise<number> {
  const name = partialName(blob);
  return name === undefined ? 0 : heldBytes(store.paths, name);
}

/** What is in the store already: by its digest, or by what an earlier download under the same key found. */
export async function findFetched(
  store: ModelStore,
  blob: RemoteBlob,
  signal?: AbortSignal,
): Promise<FetchedBlob | undefined> {
  const found = await knownBlob(store, blob);
  if (found === undefined) return undefined;
  return (await store.checkBlob(found, signal)) ? found : undefined;
}

async function knownBlob(store: ModelStore, blob: RemoteBlob): Promise<FetchedBlob | undefined> {
  const { digest, size } = blob;
  if (digest !== undefined) return size === undefined ? undefined : { digest, size };
  const name = partialName(blob);
  const journal = name === undefined ? undefined : await readJournal(store.paths, name);
  return journal?.digest === undefined ? undefined : { digest: journal.digest, size: journal.size };
}

type ReceiveOptions = DownloadOptions & { report: (progress: BlobProgress) => void };

async function receive(
  store: ModelStore,
  blob: RemoteBlob,
  name: string | undefined,
  options: ReceiveOptions,
): Promise<FetchedBlob> {
  const size = blob.size ?? (await askSize(blob, options));
  if (size === undefined) return receiveSizeless(store, blob, options);
  const onProgress = (completed: number): void => options.report({ completed, total: size });
  const sized = { ...options, onProgress };
  if (size < SMALL_BYTES) return receiveSmall(store, blob, size, sized);
  // What does not verify is thrown away, and fetched once more: an earlier download may have left it.
  return (
    (await receiveLarge(store, blob, { name, size }, sized)) ??
    (await receiveLarge(store, blob, { name, size }, sized)) ??
    Promise.reject(mismatchError(blob, options.origin))
  );
}

/** Undefined, and nothing is left, when it is not what its digest names. */
async function receiveLarge(
  store: ModelStore,
  blob: RemoteBlob,
  { name, size }: { name: string | undefined; size: number },
  options: DownloadOptions,
): Promise<FetchedBlob | undefined> {
  const { paths } = store;
  const partial =
    name === undefined
      ? await PartialFile.temporary(await store.temporaryFile(), paths.root, size)
      : await PartialFile.open(paths, name, size);
  options.onProgress(partial.extents.bytes);
  const digest = await new Download(blob, partial, options).run().catch(async (error: unknown) => {
    if (name === undefined) await rm(partial.path, { force: true }).catch(() => {});
    throw error;
  });
  if (blob.digest !== undefined && digest !== blob.digest) {
    if (name !== undefined) await discardPartial(paths, name);
    return undefined;
  }
  await store.publish(partial.path, { digest, size });
  options.onProgress(size);
  if (name !== undefined) await conclude(store, name, { blob, size, digest });
  return { digest, size };
}

async function conclude(
  { paths }: ModelStore,
  name: string,
  { blob, size, digest }: { blob: RemoteBlob; size: number; digest: Digest },
): Promise<void> {
  if (blob.digest !== undefined) await discardPartial(paths, name);
  else await concludeJournal(paths, name, size, digest);
}

/** Undefined for content that nothing tells from other content: it is not gone on with. */
function partialName({ digest, key }: RemoteBlob): string | undefined {
  if (digest !== undefined) return hexOf(digest);
  return key === undefined ? undefined : `key-${createHash("sha256").update(key).digest("hex")}`;
}
