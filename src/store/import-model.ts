import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MullError } from "../spec/errors.ts";
import { hexOf } from "./digest.ts";
import type { FoundModel } from "./elsewhere/found-model.ts";
import { type LocalModel, modelAt } from "./elsewhere/model-at.ts";
import { stemOf } from "./gguf-files/gguf-group.ts";
import { withoutQuantization } from "./gguf-files/quantization.ts";
import { type GgufLayer, modelConfig, readGgufLayer } from "./gguf-layers.ts";
import { manifestOfGgufs, type StoredFile } from "./gguf-manifest.ts";
import { blobsOf, type Descriptor, layer, parseManifest } from "./manifest.ts";
import { DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG, type ModelName, modelName } from "./model-name.ts";
import type { ModelStore, Pin, StoredModel } from "./model-store.ts";
import { nameOf, parseReference } from "./reference.ts";
import type { OnTransferProgress } from "./transfer-progress.ts";

export interface ImportModelOptions {
  /** What to call it. Default: what the other program calls it, or the name of the file. */
  name?: ModelName;
  /** Never a hard link: for files that somebody goes on writing to. Default false. */
  copy?: boolean;
  /** `~` is its HOME. Default: the process's. */
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
  /** `importing <file>`, `writing manifest`, `success`. */
  onProgress?: OnTransferProgress | undefined;
}

/**
 * A model that is on this disk into the store: by clone or link where the file system can, else by copy. Headers are
 * checked before anything is stored, and every byte is hashed. A model of Ollama's keeps its manifest, and so its ID.
 *
 * @param found of `listElsewhere`, or the path of a GGUF file (other parts and the projector lie beside it) or of a
 *   folder that holds one model
 * @throws MullError `model_not_found`, `invalid_model`, `invalid_argument` (several models in a folder, safetensors),
 *   `digest_mismatch` (another program's blob is damaged), `insufficient_storage`, `store_unavailable`, `aborted`
 */
export async function importModel(
  store: ModelStore,
  found: FoundModel | string,
  options: ImportModelOptions = {},
): Promise<StoredModel> {
  const model = typeof found === "string" ? await modelAt(found, options.env ?? process.env) : found;
  const pin = await store.pin();
  try {
    const bytes = await bringModel(store, pin, model, options);
    options.onProgress?.({ status: "writing manifest" });
    const stored = await store.writeManifest(options.name ?? nameFor(model), bytes);
    options.onProgress?.({ status: "success" });
    return stored;
  } finally {
    await pin.release();
  }
}

/**
 * The same without a name: the blobs, which stay while `pin` is held.
 *
 * @returns the bytes of the manifest
 */
export async function bringModel(
  store: ModelStore,
  pin: Pin,
  model: LocalModel,
  options: Omit<ImportModelOptions, "name"> = {},
): Promise<Uint8Array> {
  if (model.problem !== undefined) throw new MullError("invalid_model", `${model.name}: ${model.problem}.`);
  if (model.kind === "folder") throw needsConversion(model);
  const context = { store, pin, options };
  return model.manifestPath === undefined
    ? importFiles(model, context)
    : importManifest(model, model.manifestPath, context);
}

interface ImportContext {
  store: ModelStore;
  pin: Pin;
  options: ImportModelOptions;
}

/** Files in nobody's store: the manifest is made by their headers. */
async function importFiles(model: LocalModel, context: ImportContext): Promise<Uint8Array> {
  const { store, pin, options } = context;
  const ggufs = [
    model.model,
    ...[model.projector ?? [], ...(model.adapters ?? [])].flat().map((path) => [path]),
  ];
  const layers: GgufLayer[] = [];
  for (const paths of ggufs) layers.push(await readGgufLayer(paths, options));
  // Whether they make a model is known before gigabytes move.
  modelConfig(layers, []);
  const stored: StoredFile[][] = [];
  for (const paths of ggufs) {
    const files: StoredFile[] = [];
    for (const path of paths) files.push(await importAndHold(path, context));
    stored.push(files);
  }
  const texts: Descriptor[] = [];
  for (const kind of ["template", "system", "params", "messages"] as const) {
    const path = model[kind];
    if (path === undefined) continue;
    const { digest, size } = await importAndHold(path, context);
    texts.push(layer(kind, digest, size));
  }
  const make = (): ReturnType<typeof manifestOfGgufs> =>
    manifestOfGgufs(store, stored, texts, options.signal);
  const { manifest, bytes } = await make();
  await pin.add([manifest.config.digest]);
  // Nobody held the config before: it may have been pruned.
  return (await store.blobState(manifest.config)) === "absent" ? (await make()).bytes : bytes;
}

/** A store of the same layout: what its manifest names is brought in as it is. */
async function importManifest(
  model: LocalModel,
  manifestPath: string,
  context: ImportContext,
): Promise<Uint8Array> {
  const bytes = await readFile(manifestPath).catch((cause: unknown) => {
    throw new MullError("model_not_found", `${manifestPath} cannot be read any more.`, { cause });
  });
  const blobs = blobsOf(parseManifest(bytes, manifestPath));
  const folder = dirname(model.model[0] ?? "");
  await readGgufLayer(model.model, context.options);
  await context.pin.add(blobs.map(({ digest }) => digest));
  for (const blob of blobs) {
    if ((await context.store.blobState(blob)) === "intact") continue;
    const path = join(folder, `sha256-${hexOf(blob.digest)}`);
    const { digest } = await importFile(path, context);
    if (digest === blob.digest) continue;
    throw new MullError("digest_mismatch", `${path} is damaged: its content is not what its name says.`, {
      hint: "Pull the model again, with mull or with the program it belongs to.",
      details: { path, expected: blob.digest, actual: digest },
    });
  }
  return bytes;
}

async function importAndHold(path: string, context: ImportContext): Promise<StoredFile> {
  const stored = await importFile(path, context);
  await context.pin.add([stored.digest]);
  // Somebody may have pruned between the two.
  const isThere = (await context.store.blobState(stored)) !== "absent";
  return isThere ? stored : importFile(path, context);
}

function importFile(path: string, { store, options }: ImportContext): Promise<StoredFile> {
  const { copy = false, signal, onProgress } = options;
  const status = `importing ${basename(path)}`;
  return store.importFile(path, {
    copy,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined
      ? {}
      : { onProgress: (completed, total) => onProgress({ status, completed, total }) }),
  });
}

/** The name that finds it elsewhere, else the file's: `llava-7b-Q4_K_M.gguf` is `llava-7b:Q4_K_M`. */
function nameFor(model: LocalModel): ModelName {
  if (model.repository !== undefined || model.manifestPath !== undefined) {
    try {
      const name = nameOf(parseReference(model.name));
      if (name !== undefined) return name;
    } catch {
      // Its program has other rules for names.
    }
  }
  const clean = (text: string): string =>
    text
      .replaceAll(/[^\w.-]+/g, "-")
      .replaceAll(/\.{2,}/g, ".")
      .replace(/^[^\w]+/, "")
      .slice(0, 80)
      .replace(/\.+$/, "");
  const stem = stemOf((model.model[0] ?? "").replaceAll("\\", "/"));
  return modelName({
    host: DEFAULT_HOST,
    namespace: DEFAULT_NAMESPACE,
    model: clean(withoutQuantization(stem)) || "model",
    tag: model.quantization ?? DEFAULT_TAG,
  });
}

function needsConversion({ folder = "" }: LocalModel): MullError {
  return new MullError(
    "invalid_argument",
    `${folder} holds safetensors, which are converted before they are used.`,
    {
      hint: `Write FROM ${folder} into a Modelfile, then mull create NAME -f Modelfile.`,
    },
  );
}
