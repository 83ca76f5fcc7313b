import { readdir, stat, symlink } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { readGguf } from "../../gguf/read.ts";
import { MullError } from "../../spec/errors.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { hashInWorker } from "../disk/hash-in-worker.ts";
import { fileSystem } from "../disk/file-system.ts";
import { type GgufKind, kindOfGguf } from "../gguf-layers.ts";
import type { StoredFile } from "../gguf-manifest.ts";
import { type Descriptor, kindOf, layersOf } from "../manifest.ts";
import { nameOf, parseReference } from "../reference.ts";
import { resolveModel } from "../resolve-model.ts";
import type { Creation } from "./creation.ts";
import type { FileSource, Recipe } from "./recipe.ts";

/** GGUF files in the store; each is a list of its parts. */
export interface GgufFiles {
  model: readonly (readonly StoredFile[])[];
  projectors: readonly (readonly StoredFile[])[];
  adapters: readonly (readonly StoredFile[])[];
}

export interface Base {
  ggufs: GgufFiles;
  /** Template, system message, parameters… of the model that this one is made from. */
  texts: readonly Descriptor[];
}

/** All that a recipe begins with, in the store. */
export async function gatherBase(from: Recipe["from"], creation: Creation): Promise<Base> {
  if ("model" in from) return baseOfModel(from.model, creation);
  const [first] = from.files;
  const isFolder =
    from.files.length === 1 && first !== undefined && "path" in first && (await isDirectory(first.path));
  if (isFolder) return { ggufs: await baseOfFolder(first.path, creation), texts: [] };
  const isGguf = (source: FileSource): boolean => extname(nameOfSource(source)).toLowerCase() === ".gguf";
  // An uploaded file may have any name; what is a checkpoint has at least one file of weights in it.
  const isCheckpoint = from.files.some((source) => nameOfSource(source).endsWith(".safetensors"));
  if (!isCheckpoint || from.files.every(isGguf))
    return { ggufs: await baseOfFiles(from.files, creation), texts: [] };
  return { ggufs: await convertFiles(from.files, creation), texts: [] };
}

async function baseOfModel(text: string, creation: Creation): Promise<Base> {
  const { store, env, signal, fetchModel } = creation;
  const name = nameOf(parseReference(text));
  let stored = name === undefined ? undefined : await store.find(name);
  if (stored === undefined) {
    const options = { env, store, ...(signal === undefined ? {} : { signal }) };
    const setup = await resolveModel(text, options).catch((error: unknown) => {
      if (MullError.wrap(error).code === "model_not_found") return undefined;
      throw error;
    });
    if (setup !== undefined) return { ggufs: await importSetup(setup.load, creation), texts: [] };
    await fetchModel(text);
    stored = name === undefined ? undefined : await store.find(name);
    if (stored === undefined) throw new MullError("model_not_found", `There is no model called "${text}".`);
  }
  const { manifest } = stored;
  await creation.pin.add(manifest.layers.map(({ digest }) => digest));
  for (const blob of manifest.layers) {
    if (await store.checkBlob(blob, signal)) continue;
    throw new MullError("invalid_model", `${text}: its ${kindOf(blob) ?? "file"} is missing or damaged.`, {
      hint: `Get it again with: mull pull ${text}`,
    });
  }
  const split = layersOf(manifest, "model");
  return {
    ggufs: {
      model: split.length === 0 ? [] : [split],
      projectors: layersOf(manifest, "projector").map((blob) => [blob]),
      adapters: layersOf(manifest, "adapter").map((blob) => [blob]),
    },
    texts: manifest.layers.filter((blob) => !["model", "projector", "adapter"].includes(kindOf(blob) ?? "")),
  };
}

/** Of a model that ships with mull, or that another program keeps. */
async function importSetup(
  { model, splitFiles, projector, adapters = [] }: LoadOptions,
  creation: Creation,
): Promise<GgufFiles> {
  const paths = splitFiles ?? (model === undefined ? [] : (await readGguf(model)).paths);
  const text: StoredFile[] = [];
  for (const path of paths) text.push(await storeFile({ path }, "model", creation));
  const others: StoredFile[] = [];
  for (const path of adapters) others.push(await storeFile({ path }, "adapter", creation));
  return {
    model: [text],
    projectors:
      projector === undefined ? [] : [[await storeFile({ path: projector }, "projector", creation)]],
    adapters: others.map((file) => [file]),
  };
}

async function baseOfFolder(folder: string, creation: Creation): Promise<GgufFiles> {
  const names = await readdir(folder);
  const ggufs = names.filter((name) => /\.gguf$/i.test(name));
  if (ggufs.length > 0)
    return baseOfFiles(
      ggufs.toSorted().map((name) => ({ path: join(folder, name) })),
      creation,
    );
  return convert(folder, creation);
}

/** Each by its header; parts of a split model find one another by their names. */
async function baseOfFiles(sources: readonly FileSource[], creation: Creation): Promise<GgufFiles> {
  const files: Record<GgufKind, StoredFile[][]> = { model: [], projector: [], adapter: [] };
  const seen = new Set<string>();
  for (const source of sources) {
    const path = "path" in source ? source.path : creation.store.paths.blob(source.blob);
    if (seen.has(path)) continue;
    const gguf = await readGguf(path);
    const parts: StoredFile[] = [];
    for (const part of gguf.paths) {
      seen.add(part);
      parts.push(await storeFile("path" in source ? { path: part } : source, kindOfGguf(gguf), creation));
    }
    files[kindOfGguf(gguf)].push(parts);
  }
  return { model: files.model, projectors: files.projector, adapters: files.adapter };
}

/** A file into the store, or the blob that it is already. */
export async function storeFile(source: FileSource, what: string, creation: Creation): Promise<StoredFile> {
  const { store, pin, signal, say } = creation;
  if ("blob" in source) {
    await pin.add([source.blob]);
    const { size } = await stat(store.paths.blob(source.blob));
    if (await store.checkBlob({ digest: source.blob, size }, signal)) return { digest: source.blob, size };
    throw new MullError("invalid_model", `The uploaded file "${source.name}" is damaged.`, {
      hint: "Upload it again.",
    });
  }
  if (extname(source.path).toLowerCase() === ".safetensors") {
    throw new MullError("invalid_argument", `${source.path}: an ${what} in safetensors is not read.`, {
      hint: "Convert it to GGUF first; llama.cpp's convert_lora_to_gguf.py does so for adapters.",
    });
  }
  const status = `importing ${basename(source.path)}`;
  const stored = await store.importFile(source.path, {
    ...(signal === undefined ? {} : { signal }),
    onProgress: (completed, total) => say({ status, completed, total }),
  });
  await pin.add([stored.digest]);
  return stored;
}

/** Uploaded files get their names back, in a folder of links. */
async function convertFiles(sources: readonly FileSource[], creation: Creation): Promise<GgufFiles> {
  const { store } = creation;
  const folder = await store.temporaryFolder();
  try {
    for (const source of sources) {
      const name = nameOfSource(source);
      if (name !== basename(name) || name === "" || name === "." || name === "..") {
        throw new MullError("invalid_argument", `"${name}" cannot be the name of a file.`);
      }
      await symlink("path" in source ? source.path : store.paths.blob(source.blob), join(folder, name));
    }
    return await convert(folder, creation);
  } finally {
    await store.removeTemporary(folder);
  }
}

async function convert(folder: string, creation: Creation): Promise<GgufFiles> {
  const { store, say, signal } = creation;
  const { convertModel } = await import("../convert/convert-model.ts");
  const output = await store.temporaryFolder();
  try {
    const converted = await convertModel(folder, output, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (completed, total) => say({ status: "converting model", completed, total }),
    });
    const model = await adoptFile(converted.model, creation);
    const projector =
      converted.projector === undefined ? undefined : await adoptFile(converted.projector, creation);
    return { model: [[model]], projectors: projector === undefined ? [] : [[projector]], adapters: [] };
  } finally {
    await store.removeTemporary(output);
  }
}

/** A file of ours, complete and on the disk, becomes a blob without being copied. */
export async function adoptFile(path: string, { store, pin, signal, say }: Creation): Promise<StoredFile> {
  const { digest, size } = await hashInWorker(fileSystem, path, {
    ...(signal === undefined ? {} : { signal }),
    onProgress: (completed, total) => say({ status: "verifying sha256 digest", completed, total }),
  });
  const blob = { digest, size };
  await pin.add([blob.digest]);
  await store.publish(path, blob);
  return blob;
}

function nameOfSource(source: FileSource): string {
  return "path" in source ? basename(source.path) : source.name;
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
