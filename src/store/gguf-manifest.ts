import type { Digest } from "./digest.ts";
import { type GgufLayer, modelConfig, readGgufLayer } from "./gguf-layers.ts";
import {
  CONFIG_TYPE,
  type Descriptor,
  encodeManifest,
  layer,
  type Manifest,
  SOURCE_ANNOTATION,
} from "./manifest.ts";
import type { ModelStore } from "./model-store.ts";

/** A file of a GGUF, in the store. */
export interface StoredFile {
  digest: Digest;
  /** In bytes. */
  size: number;
  /** Where it came from, without secrets; recorded in the manifest. */
  source?: string | undefined;
}

/**
 * The manifest of a model that nobody published one for, by the headers of its files. Its config becomes a blob; the
 * manifest itself is not written.
 *
 * @param ggufs for each GGUF its parts in order: one text model, a projector, adapters
 * @param texts further layers: template, system message, parameters
 * @throws MullError `invalid_model`, `aborted`, and what `writeBlob` throws
 */
export async function manifestOfGgufs(
  store: Pick<ModelStore, "paths" | "writeBlob">,
  ggufs: readonly (readonly StoredFile[])[],
  texts: readonly Descriptor[] = [],
  signal?: AbortSignal,
): Promise<{ manifest: Manifest; bytes: Uint8Array }> {
  const read: { files: readonly StoredFile[]; layer: GgufLayer }[] = [];
  for (const files of ggufs) {
    const paths = files.map(({ digest }) => store.paths.blob(digest));
    read.push({ files, layer: await readGgufLayer(paths, { signal }) });
  }
  const order = ["model", "projector", "adapter"];
  read.sort((a, b) => order.indexOf(a.layer.kind) - order.indexOf(b.layer.kind));
  const layers = [
    ...read.flatMap(({ files, layer: { kind } }) =>
      files.map(({ digest, size, source }) => withSource(layer(kind, digest, size), source)),
    ),
    ...texts,
  ];
  const config = modelConfig(
    read.map(({ layer }) => layer),
    layers.map(({ digest }) => digest),
  );
  const blob = await store.writeBlob(new TextEncoder().encode(JSON.stringify(config)));
  const manifest: Manifest = { config: { mediaType: CONFIG_TYPE, ...blob }, layers };
  return { manifest, bytes: encodeManifest(manifest) };
}

export function withSource(descriptor: Descriptor, source: string | undefined): Descriptor {
  return source === undefined ? descriptor : { ...descriptor, annotations: { [SOURCE_ANNOTATION]: source } };
}
