import { type Descriptor, blobsOf } from "../manifest.ts";
import { shortDigest } from "../digest.ts";
import { openRanges } from "../http/open-ranges.ts";
import type { RemoteBlob, RemoteModel } from "../remote-model.ts";
import { fetchManifest } from "./fetch-manifest.ts";
import { openRepository, type RegistryOptions, type RegistryReference, subjectOf } from "./registry.ts";

/**
 * A model of a registry that speaks the OCI distribution protocol: its manifest is fetched now, its blobs when they are
 * opened.
 *
 * @throws MullError `model_not_found`, `unauthorized`, `server_unreachable`, `rate_limited`, `server_busy`,
 *   `digest_mismatch`, `invalid_model` (no manifest of a model), `aborted`
 */
export async function registryModel(
  reference: RegistryReference,
  options: RegistryOptions,
): Promise<RemoteModel> {
  const { client, signal } = options;
  const repository = await openRepository(reference, options);
  const published = await fetchManifest(repository, reference, client, signal);

  const remoteBlob = ({ digest, size, mediaType }: Descriptor): RemoteBlob => ({
    label: digest,
    digest,
    size,
    key: digest,
    mediaType,
    open: openRanges({
      client,
      origin: repository.origin,
      allowPlainHttp: repository.allowPlainHttp,
      request: async (headers, signal) =>
        await repository.send({ url: repository.url(`blobs/${digest}`), headers, signal }, "pull"),
      ...repository.errors(`Blob ${shortDigest(digest)} of ${subjectOf(reference).slice("The ".length)}`),
    }),
  });

  return {
    name: reference.name,
    blobs: blobsOf(published.manifest).map(remoteBlob),
    manifest: async () => await Promise.resolve(published),
  };
}
