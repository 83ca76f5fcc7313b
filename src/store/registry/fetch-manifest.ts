import { isRecord } from "../../providers/response-error.ts";
import { MullError } from "../../spec/errors.ts";
import { type Digest, digestOf, parseDigest } from "../digest.ts";
import type { HttpClient } from "../http/http-client.ts";
import { refuseHtml, requireOk } from "../http/response-error.ts";
import { serverText, showUrl } from "../http/server-text.ts";
import { kindOf, type Manifest, MANIFEST_TYPE, parseManifest } from "../manifest.ts";
import { type RegistryReference, type Repository, subjectOf } from "./registry.ts";

export const OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const ACCEPT = [MANIFEST_TYPE, OCI_MANIFEST_TYPE, ...INDEX_TYPES].join(", ");

export interface PublishedManifest {
  manifest: Manifest;
  /** As the registry sent them: their SHA-256 is the model's ID there and here. */
  bytes: Uint8Array;
}

/** The manifest that a tag names; of an index, the one model in it. */
export async function fetchManifest(
  repository: Repository,
  reference: RegistryReference,
  client: HttpClient,
  signal: AbortSignal | undefined,
): Promise<PublishedManifest> {
  const subject = subjectOf(reference);

  const fetchBytes = async (tag: string, expected?: Digest): Promise<Uint8Array> => {
    const url = repository.url(`manifests/${tag}`);
    const response = await requireOk(
      await repository.send({ url, headers: { accept: ACCEPT }, signal }, "pull"),
      client,
      repository.errors(subject),
    );
    refuseHtml(response);
    const bytes = await response.bytes();
    const announced = response.headers["docker-content-digest"];
    for (const digest of [announced, expected]) {
      if (digest === undefined || parseDigest(digest) === digestOf(bytes)) continue;
      throw new MullError(
        "digest_mismatch",
        `${showUrl(url)} sent a manifest with the digest ${digestOf(bytes)}, which should be ${serverText(digest)}.`,
        { hint: "Pull again; if it stays, the registry's copy is damaged." },
      );
    }
    return bytes;
  };

  let bytes = await fetchBytes(reference.name.tag);
  const entries = entriesOfIndex(bytes);
  if (entries !== undefined) bytes = await fetchOnly(entries);
  const manifest = parseManifest(bytes, subject);
  refuseForeign(bytes, manifest, subject);
  return { manifest, bytes };

  async function fetchOnly(entries: readonly unknown[]): Promise<Uint8Array> {
    const models = entries.filter((entry) => isRecord(entry) && !isAttestation(entry));
    const [only] = models;
    const digest = isRecord(only) ? parseDigest(String(only["digest"])) : undefined;
    if (models.length !== 1 || digest === undefined) {
      throw invalid(
        `${subject} is an index of ${models.length} manifests, and mull cannot tell which is meant`,
        "Pull a tag that names one model.",
      );
    }
    return await fetchBytes(digest, digest);
  }
}

function entriesOfIndex(bytes: Uint8Array): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const entries = isRecord(value) && value["layers"] === undefined ? value["manifests"] : undefined;
    return Array.isArray(entries) ? entries : undefined;
  } catch {
    return undefined;
  }
}

/** Builders add statements about how an image was made, as manifests for no platform. */
function isAttestation({ platform, annotations }: Record<string, unknown>): boolean {
  return (
    (isRecord(platform) && platform["os"] === "unknown") ||
    (isRecord(annotations) && annotations["vnd.docker.reference.type"] === "attestation-manifest")
  );
}

function refuseForeign(bytes: Uint8Array, manifest: Manifest, subject: string): void {
  const { layers } = JSON.parse(new TextDecoder().decode(bytes)) as { layers: { urls?: unknown }[] };
  const isElsewhere = layers.some(({ urls }) => Array.isArray(urls) && urls.length > 0);
  if (isElsewhere || manifest.layers.some(({ mediaType }) => /foreign|nondistributable/.test(mediaType))) {
    throw invalid(
      `${subject} has a layer that is kept outside of its registry`,
      "mull fetches from the registry only.",
    );
  }
  if (manifest.layers.some((layer) => kindOf(layer) === "model")) return;
  const types = [...new Set(manifest.layers.map(({ mediaType }) => mediaType))];
  const shown = types.length === 0 ? "no layer at all" : serverText(types.slice(0, 3).join(", "));
  throw invalid(
    `${subject} holds no model in GGUF: it has ${shown}`,
    "It may be a container image, a model that only runs at its provider, or one in another format.",
  );
}

function invalid(problem: string, hint: string): MullError {
  return new MullError("invalid_model", `${problem}.`, { hint });
}
