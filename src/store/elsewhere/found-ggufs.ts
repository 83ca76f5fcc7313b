import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { describeFileKind } from "../../gguf/file-kind.ts";
import { chooseProjector } from "../gguf-files/choose-projector.ts";
import { type GgufGroup, groupGgufs, missingParts } from "../gguf-files/gguf-group.ts";
import { damaged, type FoundModel, type ModelSource, printable } from "./found-model.ts";
import type { WalkedFile } from "./walk-folder.ts";

export function isGguf(name: string): boolean {
  return /\.gguf$/i.test(name);
}

export function ggufsAmong(files: readonly WalkedFile[]): readonly WalkedFile[] {
  return files.filter(({ relative, isFolder }) => isFolder !== true && isGguf(relative));
}

/** No repository has as many. Each model is compared with each of them. */
const MOST_PROJECTORS = 100;

/**
 * The models that some GGUF files of one folder make: each with all its parts and the projector that goes with it.
 *
 * @param files of `walkFolder`; other files among them are left out
 * @param name what the program calls a model
 * @param candidates from which projectors are taken. Default: the files themselves
 */
export async function foundGgufs(
  files: readonly WalkedFile[],
  source: ModelSource,
  name: (group: GgufGroup) => { name: string; repository?: string | undefined },
  candidates: readonly WalkedFile[] = files,
): Promise<readonly FoundModel[]> {
  const byPath = new Map([...candidates, ...files].map((file) => [file.relative, file]));
  const usable = candidates.filter(({ problem, size }) => problem === undefined && size > 0);
  const projectors = groupGgufs(usable.map(({ relative }) => relative))
    .filter(({ role }) => role === "projector")
    .slice(0, MOST_PROJECTORS);
  const models = groupGgufs(files.map(({ relative }) => relative)).filter(({ role }) => role === "model");
  const found: FoundModel[] = [];
  for (const group of models) {
    const projector = chooseProjector(projectors, group);
    const parts = group.parts.flatMap((part) => byPath.get(part) ?? []);
    const all = [...parts, ...(projector?.parts ?? []).flatMap((part) => byPath.get(part) ?? [])];
    const problem = await problemOf(group, all);
    const { name: called, repository } = name(group);
    found.push({
      name: printable(called),
      source,
      kind: "gguf",
      model: parts.map(({ path }) => path),
      bytes: all.reduce((sum, { size }) => sum + size, 0),
      modifiedAt: new Date(Math.max(...all.map(({ modifiedMs }) => modifiedMs))),
      ...(problem === undefined ? {} : { problem }),
      ...(projector === undefined ? {} : { projector: byPath.get(projector.parts[0] ?? "")?.path ?? "" }),
      ...(repository === undefined ? {} : { repository }),
      ...(group.quantization === undefined ? {} : { quantization: group.quantization }),
    });
  }
  return found;
}

/** Folders that could not be read, or not to their end: there may be more in them. */
export function unreadFolders(
  files: readonly WalkedFile[],
  source: ModelSource,
  name: (folder: WalkedFile) => string = ({ path }) => path,
): readonly FoundModel[] {
  return files
    .filter(({ isFolder }) => isFolder === true)
    .map((folder) => damaged(source, name(folder), folder.path, folder.problem ?? ""));
}

async function problemOf(group: GgufGroup, files: readonly WalkedFile[]): Promise<string | undefined> {
  const [missing] = missingParts(group);
  if (missing !== undefined) {
    return `${group.count - group.parts.length} of ${group.count} parts are missing, such as ${printable(missing)}`;
  }
  for (const file of files) {
    const problem = file.problem ?? (file.size === 0 ? "is empty" : await wrongHead(file.path));
    if (problem !== undefined) return `${printable(file.relative)} ${problem}`;
  }
  return undefined;
}

/** What a file is that does not begin as a GGUF does: a page, a pointer, a download that never ended. */
async function wrongHead(path: string): Promise<string | undefined> {
  try {
    // Without O_NONBLOCK a pipe that took the file's place would hold us for ever.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(64), 0, 64, 0);
      const head = buffer.subarray(0, bytesRead);
      return head.toString("latin1", 0, 4) === "GGUF" ? undefined : `is ${describeFileKind(head).kind}`;
    } finally {
      await file.close();
    }
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`;
  }
}
