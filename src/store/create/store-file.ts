import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { readGguf } from "../../gguf/read.ts";
import { MullError } from "../../spec/errors.ts";
import { digestOf } from "../digest.ts";
import { fileSystem } from "../disk/file-system.ts";
import { hashInWorker } from "../disk/hash-in-worker.ts";
import { type GgufKind, kindOfGguf } from "../gguf-layers.ts";
import type { StoredFile } from "../gguf-manifest.ts";
import type { GgufFiles, ModelPart } from "./base.ts";
import type { Creation } from "./creation.ts";
import type { FileSource } from "./recipe.ts";

/** What was given, as a part: an uploaded file is a blob already. */
export function partOf(source: FileSource, creation: Creation): Promise<ModelPart> {
  return "blob" in source
    ? requireIntact(source, creation)
    : Promise.resolve({ path: source.path, own: false });
}

export function pathOfPart(part: ModelPart, { store }: Pick<Creation, "store">): string {
  return "path" in part ? part.path : store.paths.blob(part.digest);
}

/** All that is no blob yet, into the store. */
export async function storeParts(ggufs: GgufFiles, creation: Creation): Promise<GgufFiles<StoredFile>> {
  const store = async (files: GgufFiles["model"]): Promise<StoredFile[][]> => {
    const stored: StoredFile[][] = [];
    for (const parts of files) {
      const blobs: StoredFile[] = [];
      for (const part of parts) blobs.push(await storePart(part, creation));
      stored.push(blobs);
    }
    return stored;
  };
  return {
    model: await store(ggufs.model),
    projectors: await store(ggufs.projectors),
    adapters: await store(ggufs.adapters),
  };
}

async function storePart(part: ModelPart, creation: Creation): Promise<StoredFile> {
  if ("digest" in part) return part;
  if (part.own) return adoptFile(part.path, creation);
  const { store, pin, signal, say } = creation;
  const status = `importing ${basename(part.path)}`;
  const bring = (): Promise<StoredFile> =>
    store.importFile(part.path, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (completed, total) => say({ status, completed, total }),
    });
  const stored = await bring();
  await pin.add([stored.digest]);
  // Somebody may have pruned between the two.
  return (await store.blobState(stored)) === "absent" ? bring() : stored;
}

/** @throws MullError `invalid_model` for an uploaded file that is gone, or whose bytes are others than they were */
export async function requireIntact(
  { blob: digest, name }: Extract<FileSource, { blob: unknown }>,
  { store, pin, signal }: Creation,
): Promise<StoredFile> {
  await pin.add([digest]);
  const stats = await stat(store.paths.blob(digest)).catch(() => undefined);
  const blob = { digest, size: stats?.size ?? 0 };
  if (stats !== undefined && (await store.checkBlob(blob, signal))) return blob;
  const problem = stats === undefined ? "is not there any more" : "is damaged";
  throw new MullError("invalid_model", `The uploaded file "${name}" ${problem}.`, {
    hint: "Upload it again.",
  });
}

/**
 * A file that an instruction names for one purpose; its header says whether it is for that.
 *
 * @throws MullError `invalid_argument` for a file that is for something else
 */
export async function partOfKind(source: FileSource, kind: GgufKind, creation: Creation): Promise<ModelPart> {
  const path = pathOf(source, creation);
  const name = nameOfSource(source);
  if (extname(name).toLowerCase() === ".safetensors" || (await isFolder(path))) {
    throw new MullError("invalid_argument", `${name}: ${NOUNS[kind]} is read from a GGUF file only.`, {
      hint: "Convert it first; llama.cpp's convert_lora_to_gguf.py does so for adapters.",
    });
  }
  const actual = kindOfGguf(await readGguf(path));
  if (actual !== kind) {
    throw new MullError("invalid_argument", `${name} is ${NOUNS[actual]}, not ${NOUNS[kind]}.`, {
      hint: "FROM takes text models, PROJECTOR projectors, ADAPTER adapters.",
    });
  }
  return partOf(source, creation);
}

const NOUNS: Readonly<Record<GgufKind, string>> = {
  model: "a text model",
  projector: "a projector",
  adapter: "an adapter",
};

/** A file of ours, complete and on the disk, becomes a blob without being copied. */
async function adoptFile(path: string, { store, pin, signal, say }: Creation): Promise<StoredFile> {
  const { digest, size } = await hashInWorker(fileSystem, path, {
    ...(signal === undefined ? {} : { signal }),
    onProgress: (completed, total) => say({ status: "verifying sha256 digest", completed, total }),
  });
  const blob = { digest, size };
  await pin.add([digest]);
  await store.publish(path, blob);
  return blob;
}

/** On the disk of the store; gone when the creation ends. */
export async function temporaryFolder({ store, temporaries }: Creation): Promise<string> {
  const folder = await store.temporaryFolder();
  temporaries.push(folder);
  return folder;
}

/** Small bytes to a blob that stays. */
export async function storeBytes(
  bytes: Uint8Array,
  { store, pin }: Pick<Creation, "store" | "pin">,
): Promise<StoredFile> {
  // In this order: what is pinned is not pruned, be it there already or not.
  await pin.add([digestOf(bytes)]);
  return store.writeBlob(bytes);
}

export function pathOf(source: FileSource, { store }: Pick<Creation, "store">): string {
  return "path" in source ? source.path : store.paths.blob(source.blob);
}

/** As whoever gave it called it. */
export function nameOfSource(source: FileSource): string {
  return "path" in source ? basename(source.path) : source.name;
}

export function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
