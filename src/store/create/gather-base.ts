import { readdir, stat, symlink } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { Gguf } from "../../gguf/gguf.ts";
import { readGguf } from "../../gguf/read.ts";
import { parseSplitName, type SplitName } from "../../gguf/split-names.ts";
import { MullError } from "../../spec/errors.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { hashInWorker } from "../disk/hash-in-worker.ts";
import { fileSystem } from "../disk/file-system.ts";
import { type GgufKind, kindOfGguf } from "../gguf-layers.ts";
import type { StoredFile } from "../gguf-manifest.ts";
import { filesOfModel } from "../locate-model.ts";
import { type Descriptor, kindOf, layersOf } from "../manifest.ts";
import { nameOf, parseReference } from "../reference.ts";
import { resolveModel } from "../resolve-model.ts";
import type { BaseSetup, Creation } from "./creation.ts";
import type { FileSource, Recipe } from "./recipe.ts";
import { textsOfSetup } from "./setup-layers.ts";

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
  const { store, signal, fetchModel } = creation;
  const name = nameOf(parseReference(text));
  let stored = name === undefined ? undefined : await store.find(name);
  if (stored === undefined) {
    const setup = (await creation.findModel?.(text)) ?? (await resolveName(text, creation));
    if (setup !== undefined) {
      return { ggufs: await importSetup(setup.load, creation), texts: await textsOfSetup(setup, creation) };
    }
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

/** A name is never taken for a file that lies where this process happens to run. */
async function resolveName(text: string, { env, store, signal }: Creation): Promise<BaseSetup | undefined> {
  const options = { env, store, ...(signal === undefined ? {} : { signal }) };
  try {
    const setup = await resolveModel(text, options);
    return setup.place === "file" ? undefined : setup;
  } catch (error) {
    if (MullError.wrap(error).code === "model_not_found") return undefined;
    throw error;
  }
}

/** Of a model that ships with mull, or that another program keeps. */
async function importSetup(load: LoadOptions, creation: Creation): Promise<GgufFiles> {
  const { model, splitFiles, projector, adapters } = filesOfModel(load);
  const paths = splitFiles ?? (await readGguf(model)).paths;
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
    if (seen.has(pathOf(source, creation))) continue;
    const { gguf, parts } = await readParts(source, sources, creation);
    const kind = kindOfGguf(gguf);
    const stored: StoredFile[] = [];
    for (const part of parts) {
      seen.add(pathOf(part, creation));
      stored.push(await storeFile(part, kind, creation));
    }
    files[kind].push(stored);
  }
  return { model: files.model, projectors: files.projector, adapters: files.adapter };
}

function pathOf(source: FileSource, { store }: Creation): string {
  return "path" in source ? source.path : store.paths.blob(source.blob);
}

/** A file on the disk has its other parts beside it; an uploaded one among what was uploaded with it. */
async function readParts(
  source: FileSource,
  sources: readonly FileSource[],
  creation: Creation,
): Promise<{ gguf: Gguf; parts: readonly FileSource[] }> {
  if ("path" in source) {
    const gguf = await readGguf(source.path);
    return { gguf, parts: gguf.paths.map((path) => ({ path })) };
  }
  const own = parseSplitName(source.name);
  const parts = own === undefined ? [source] : partsOf(own, sources);
  return { gguf: await readGguf(parts.map((part) => pathOf(part, creation))), parts };
}

function partsOf(own: SplitName, sources: readonly FileSource[]): readonly FileSource[] {
  const parts = sources.flatMap((source) => {
    const split = parseSplitName(nameOfSource(source));
    const isPart = "blob" in source && split?.prefix === own.prefix && split.count === own.count;
    return isPart ? [{ source, part: split.part }] : [];
  });
  return parts.toSorted((one, other) => one.part - other.part).map(({ source }) => source);
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
