import { readFile } from "node:fs/promises";
import { MullError } from "../../spec/errors.ts";
import { digestOf, parseDigest, shortDigest } from "../digest.ts";
import { requireOk } from "../http/response-error.ts";
import { blobsOf, type Descriptor, MANIFEST_TYPE } from "../manifest.ts";
import { formatModelName } from "../model-name.ts";
import type { ModelStore, Pin, StoredModel } from "../model-store.ts";
import type { OnTransferProgress } from "../transfer-progress.ts";
import { OCI_MANIFEST_TYPE } from "./fetch-manifest.ts";
import {
  openRepository,
  type RegistryOptions,
  type RegistryReference,
  type Repository,
  subjectOf,
} from "./registry.ts";
import { retry } from "./retry.ts";
import { uploadBlob } from "./upload-blob.ts";

export interface PushOptions extends RegistryOptions {
  /**
   * `retrieving manifest`, `pushing <12 hex>` for each blob, `pushing manifest`, `success`; of a blob at most ten a
   * second.
   */
  onProgress?: OnTransferProgress;
  /** What one request carries, in bytes. Default 64 MiB. */
  chunkBytes?: number;
}

/** What pushing takes of a store. */
export type PushedStore = Pick<ModelStore, "paths" | "checkBlob" | "pin" | "list">;

const BETWEEN_PROGRESS_MS = 100;

/**
 * Brings a model to a registry: its blobs, each checked before it is sent, and last its manifest, byte for byte. What
 * the registry has is not sent again.
 *
 * @throws MullError `invalid_model` (a blob is missing or damaged), `unauthorized`, `server_unreachable`,
 *   `rate_limited`, `server_busy`, `digest_mismatch`, `aborted`
 */
export async function pushModel(
  store: PushedStore,
  from: StoredModel,
  to: RegistryReference,
  options: PushOptions,
): Promise<void> {
  const { onProgress = () => {} } = options;
  onProgress({ status: "retrieving manifest" });
  const bytes = await manifestBytes(store, from);
  const { config, layers } = from.manifest;
  const blobs = blobsOf({ config: layers[0] ?? config, layers: [...layers, config] });
  const pin = await pinIfWritable(store, blobs);
  try {
    const repository = await openRepository(to, options);
    for (const blob of blobs) await pushBlob(store, from, blob, repository, to, options);
    onProgress({ status: "pushing manifest" });
    await pushManifest(bytes, repository, to, options);
  } finally {
    await pin?.release();
  }
  onProgress({ status: "success" });
}

/** A store that is only read cannot be told to keep its blobs; should one go, it is missed when its turn comes. */
async function pinIfWritable(store: PushedStore, blobs: readonly Descriptor[]): Promise<Pin | undefined> {
  return await store.pin(blobs.map(({ digest }) => digest)).catch((error: unknown) => {
    if (MullError.is(error) && error.code === "store_unavailable") return undefined;
    throw error;
  });
}

async function manifestBytes(store: PushedStore, from: StoredModel): Promise<Uint8Array> {
  const bytes = await readFile(store.paths.manifest(from.name)).catch((error: unknown) => {
    const name = formatModelName(from.name);
    throw new MullError("model_not_found", `The model ${name} is not in the store any more.`, {
      cause: error,
    });
  });
  if (digestOf(bytes) === from.digest) return bytes;
  throw new MullError(
    "invalid_model",
    `The model ${formatModelName(from.name)} was just replaced by another.`,
    {
      hint: "Push it again.",
    },
  );
}

async function pushBlob(
  store: PushedStore,
  from: StoredModel,
  blob: Descriptor,
  repository: Repository,
  to: RegistryReference,
  options: PushOptions,
): Promise<void> {
  const { client, signal, chunkBytes, onProgress = () => {} } = options;
  const { digest, size } = blob;
  if (!(await store.checkBlob(blob, signal))) {
    const name = formatModelName(from.name);
    throw new MullError("invalid_model", `Blob ${shortDigest(digest)} of ${name} is missing or damaged.`, {
      hint: `It was not sent. Get the model again with \`mull pull ${name}\`, or see \`mull verify\`.`,
    });
  }
  const status = `pushing ${shortDigest(digest)}`;
  let last = 0;
  await uploadBlob(
    { digest, size, path: store.paths.blob(digest) },
    {
      client,
      repository,
      signal,
      chunkBytes,
      mountFrom: await otherRepository(store, from, blob, to),
      onProgress: (completed) => {
        const now = performance.now();
        if (completed < size && now - last < BETWEEN_PROGRESS_MS) return;
        last = now;
        onProgress({ status, digest, total: size, completed });
      },
    },
  );
}

/** Where else at that registry the blob may be: where a model of the store that has it comes from. */
async function otherRepository(
  store: PushedStore,
  from: StoredModel,
  { digest }: Descriptor,
  { name: to }: RegistryReference,
): Promise<string | undefined> {
  for (const { name, manifest } of [from, ...(await store.list())]) {
    if (name.host.toLowerCase() !== to.host.toLowerCase()) continue;
    if (name.namespace === to.namespace && name.model === to.model) continue;
    if (blobsOf(manifest).some((blob) => blob.digest === digest)) return `${name.namespace}/${name.model}`;
  }
  return undefined;
}

async function pushManifest(
  bytes: Uint8Array,
  repository: Repository,
  to: RegistryReference,
  { client, signal }: PushOptions,
): Promise<void> {
  const url = repository.url(`manifests/${to.name.tag}`);
  const response = await retry(
    async () =>
      await requireOk(
        await repository.send(
          { method: "PUT", url, headers: { "content-type": typeOf(bytes) }, body: bytes, signal },
          "push",
        ),
        client,
        repository.errors(subjectOf(to)),
      ),
    { clock: client.clock, signal },
  );
  response.discard();
  const stored = response.headers["docker-content-digest"];
  if (stored !== undefined && parseDigest(stored) !== digestOf(bytes)) {
    throw new MullError(
      "digest_mismatch",
      `${url.host} stored the manifest of ${formatModelName(to.name)} changed.`,
    );
  }
}

/** What a manifest says it is; of one that does not say, what its config tells. */
function typeOf(bytes: Uint8Array): string {
  const { mediaType, config } = JSON.parse(new TextDecoder().decode(bytes)) as {
    mediaType?: unknown;
    config: { mediaType: string };
  };
  if (mediaType === MANIFEST_TYPE || mediaType === OCI_MANIFEST_TYPE) return mediaType;
  return config.mediaType.startsWith("application/vnd.oci.") ? OCI_MANIFEST_TYPE : MANIFEST_TYPE;
}
