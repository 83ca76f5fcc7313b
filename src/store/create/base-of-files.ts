import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Gguf } from "../../gguf/gguf.ts";
import { parseSplitName } from "../../gguf/split-names.ts";
import { readGguf, readSplitPlace } from "../../gguf/read.ts";
import { type GgufKind, kindOfGguf } from "../gguf-layers.ts";
import type { GgufFiles, ModelPart } from "./base.ts";
import { convertFiles, convertFolder } from "./convert-base.ts";
import type { Creation } from "./creation.ts";
import type { FileSource } from "./recipe.ts";
import { isFolder, nameOfSource, partOf, pathOf } from "./store-file.ts";

/** GGUF files, a folder of them, or a checkpoint in safetensors, which is converted. */
export async function baseOfFiles(sources: readonly FileSource[], creation: Creation): Promise<GgufFiles> {
  const [first] = sources;
  if (sources.length === 1 && first !== undefined && "path" in first && (await isFolder(first.path)))
    return baseOfFolder(first.path, creation);
  // An uploaded GGUF may have any name; a checkpoint has at least one file of weights in it.
  const isCheckpoint = sources.some((source) => nameOfSource(source).endsWith(".safetensors"));
  return isCheckpoint ? convertFiles(sources, creation) : baseOfGgufs(sources, creation);
}

export async function baseOfFolder(folder: string, creation: Creation): Promise<GgufFiles> {
  const names = (await readdir(folder)).filter((name) => extname(name).toLowerCase() === ".gguf");
  if (names.length === 0) return convertFolder(folder, creation);
  return baseOfGgufs(
    names.toSorted().map((name) => ({ path: join(folder, name) })),
    creation,
  );
}

interface GgufSource {
  gguf: Gguf;
  parts: readonly FileSource[];
}

/** Each file is what its header says. */
async function baseOfGgufs(sources: readonly FileSource[], creation: Creation): Promise<GgufFiles> {
  const found = await groupParts(sources, creation);
  const files: Record<GgufKind, ModelPart[][]> = { model: [], projector: [], adapter: [] };
  for (const { gguf, parts } of found)
    files[kindOfGguf(gguf)].push(await Promise.all(parts.map((part) => partOf(part, creation))));
  return { model: files.model, projectors: files.projector, adapters: files.adapter };
}

/**
 * Parts of a split model find one another by their names. Blobs of a store have lost theirs: those are put together by
 * what their headers say, and all of them have to be given.
 */
async function groupParts(sources: readonly FileSource[], creation: Creation): Promise<GgufSource[]> {
  const found: GgufSource[] = [];
  const seen = new Set<string>();
  const nameless = new Map<number, { part: number; source: FileSource }[]>();
  for (const source of sources) {
    const path = pathOf(source, creation);
    if (seen.has(path)) continue;
    seen.add(path);
    const { part, count } = await readSplitPlace(path);
    if (count > 1 && parseSplitName(path) === undefined) {
      nameless.set(count, [...(nameless.get(count) ?? []), { part, source }]);
      continue;
    }
    const gguf = await readGguf(path);
    for (const other of gguf.paths) seen.add(other);
    const parts = gguf.paths.length === 1 ? [source] : gguf.paths.map((other) => ({ path: other }));
    found.push({ gguf, parts });
  }
  for (const group of nameless.values()) {
    const parts = group.toSorted((a, b) => a.part - b.part).map(({ source }) => source);
    const gguf = await readGguf(parts.map((source) => pathOf(source, creation)));
    found.push({ gguf, parts });
  }
  return found;
}
