import { MullError } from "../spec/errors.ts";
import { type Digest, parseDigest } from "./digest.ts";

export const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
export const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";

/** What a layer is, after `application/vnd.ollama.image.`. */
export const LAYER_TYPE = "application/vnd.ollama.image.";
export type LayerKind =
  | "model"
  | "projector"
  | "adapter"
  | "template"
  | "prompt"
  | "system"
  | "params"
  | "messages"
  | "license";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Of the blob, in bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A model as registries and stores describe it. A split model has several layers of kind "model", in order. */
export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** What of a manifest's JSON is more than its layers; kept by whoever has the bytes. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_LAYERS = 4096;

/**
 * Set on a template layer that a person wrote: it goes before the template of the GGUF. A published model's layer has
 * no such mark, and yields to the GGUF's own.
 */
export const CHOSEN_TEMPLATE = { key: "mull.template", value: "chosen" } as const;

/** Where a model came from when its name does not say: the address of a file. */
export const SOURCE_ANNOTATION = "mull.source";

/**
 * Bytes of a manifest, from a registry or a disk, to a manifest.
 *
 * @param origin for the message: an address or a path
 * @throws MullError `invalid_model` that says what is wrong with it
 */
export function parseManifest(bytes: Uint8Array, origin: string): Manifest {
  const fail = (problem: string): never => {
    throw new MullError("invalid_model", `${origin} is not the manifest of a model: ${problem}.`, {
      hint: "Pull the model again; if it stays, the registry's copy is damaged.",
    });
  };
  if (bytes.length > MOST_BYTES) fail(`it has ${bytes.length} bytes, and may have ${MOST_BYTES}`);
  const root = parseJson(bytes, fail);
  if (!isObject(root)) return fail("it is no JSON object");
  if (root["schemaVersion"] !== 2) return fail("its schemaVersion is not 2");
  const { config, layers } = root;
  if (!Array.isArray(layers)) return fail("it has no layers: it may be an index of several manifests");
  if (layers.length > MOST_LAYERS) return fail(`it has ${layers.length} layers`);
  return {
    config: parseDescriptor(config, "config", fail),
    layers: layers.map((layer, index) => parseDescriptor(layer, `layer ${index + 1}`, fail)),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function parseJson(bytes: Uint8Array, fail: (problem: string) => never): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return fail(bytes.length === 0 ? "it is empty" : "it is no JSON");
  }
}

function parseDescriptor(value: unknown, what: string, fail: (problem: string) => never): Descriptor {
  if (!isObject(value)) return fail(`its ${what} is missing`);
  const { mediaType, digest, size, annotations } = value;
  if (typeof mediaType !== "string" || mediaType === "") return fail(`its ${what} has no mediaType`);
  const parsed = typeof digest === "string" ? parseDigest(digest) : undefined;
  if (parsed === undefined) return fail(`its ${what} has no SHA-256 as digest`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) return fail(`its ${what} has no size`);
  const descriptor = { mediaType, digest: parsed, size: size as number };
  return isTexts(annotations) ? { ...descriptor, annotations } : descriptor;
}

/** The bytes that are stored and sent; the model's ID is their SHA-256. */
export function encodeManifest({ config, layers }: Manifest): Uint8Array {
  const manifest = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers };
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/** Config and layers: all blobs without which the model is not whole. Each once. */
export function blobsOf({ config, layers }: Manifest): readonly Descriptor[] {
  return [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()];
}

export function layersOf(manifest: Manifest, kind: LayerKind): readonly Descriptor[] {
  return manifest.layers.filter((layer) => kindOf(layer) === kind);
}

/** Docker Model Runner writes GGUF files under types of its own. */
const FOREIGN_KINDS: Readonly<Record<string, LayerKind>> = {
  "application/vnd.docker.ai.gguf.v3": "model",
  "application/vnd.docker.ai.mmproj": "projector",
  "application/vnd.docker.ai.license": "license",
};

/** Undefined for a kind of layer that no version of the layout names. */
export function kindOf({ mediaType }: Pick<Descriptor, "mediaType">): string | undefined {
  if (mediaType.startsWith(LAYER_TYPE)) return mediaType.slice(LAYER_TYPE.length);
  return FOREIGN_KINDS[mediaType];
}

export function layer(kind: LayerKind, digest: Digest, size: number): Descriptor {
  return { mediaType: `${LAYER_TYPE}${kind}`, digest, size };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string");
}
