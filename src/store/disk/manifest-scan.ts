import { join } from "node:path";
import { digestOf } from "../digest.ts";
import { blobsOf, parseManifest } from "../manifest.ts";
import { type ModelName, type ModelNameParts, modelName } from "../model-name.ts";
import type { DamagedModel, StoredModel } from "../model-store.ts";
import { hostOfFolder } from "../store-paths.ts";
import { READ_OWN_FILE, readFully } from "./durable-files.ts";
import { errorCode, type FileSystem, type FolderEntry, ifThere, millisecondsOf } from "./file-system.ts";
import { mapLimited } from "./map-limited.ts";

/** More than parseManifest takes. */
const MOST_BYTES = 4 * 1024 * 1024 + 1;
/** Open files at a time. */
const AT_ONCE = 32;

/** A manifest's file as it lies there. */
export interface ManifestFile {
  name: ModelName;
  path: string;
}

export interface ManifestScan {
  models: readonly (StoredModel & { path: string })[];
  damaged: readonly DamagedModel[];
  /** Below `manifests/` and cannot be looked into: what it holds, and which blobs that needs, is unknown. */
  obstacles: readonly { path: string; problem: string }[];
}

type Found = ManifestFile & { problem?: string };

/** Reads every manifest. Links are not followed: they could lead anywhere. */
export async function scanManifests(fs: FileSystem, folder: string): Promise<ManifestScan> {
  const { files, obstacles } = await walk(fs, folder);
  const results = await mapLimited(files, AT_ONCE, (file) => readManifest(fs, file));
  const models: (StoredModel & { path: string })[] = [];
  const damaged: DamagedModel[] = [];
  for (const result of results) {
    if (result === undefined) continue;
    if ("problem" in result) damaged.push(result);
    else models.push(result);
  }
  return { models, damaged, obstacles };
}

/** Undefined: it is not there any more. */
export async function readManifest(
  fs: FileSystem,
  { name, path, problem }: Found,
): Promise<(StoredModel & { path: string }) | DamagedModel | undefined> {
  if (problem !== undefined) return { name, path, problem };
  try {
    const file = await readManifestFile(fs, path);
    if (file === undefined) return undefined;
    const manifest = parseManifest(file.bytes, path);
    const bytes = blobsOf(manifest).reduce((sum, { size }) => sum + size, 0);
    return { name, path, digest: digestOf(file.bytes), manifest, bytes, modifiedAt: file.modifiedAt };
  } catch (error) {
    return { name, path, problem: problemOf(error) };
  }
}

export async function readManifestFile(
  fs: FileSystem,
  path: string,
): Promise<{ bytes: Uint8Array; modifiedAt: Date } | undefined> {
  const file = await ifThere(fs.open(path, READ_OWN_FILE));
  if (file === undefined) return undefined;
  try {
    const { mtimeNs } = await file.stat();
    return { bytes: await readFully(file, MOST_BYTES), modifiedAt: new Date(millisecondsOf(mtimeNs)) };
  } finally {
    await file.close().catch(() => {});
  }
}

function problemOf(error: unknown): string {
  const code = errorCode(error);
  if (code === "ELOOP" || code === "EMLINK") return "it is a link, and links are not followed";
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error ? error.message : String(error);
}

const LEVELS = ["host", "namespace", "model", "tag"] as const satisfies readonly (keyof ModelNameParts)[];

async function walk(
  fs: FileSystem,
  root: string,
): Promise<{ files: Found[]; obstacles: { path: string; problem: string }[] }> {
  const files: Found[] = [];
  const obstacles: { path: string; problem: string }[] = [];

  let folders: { path: string; names: readonly string[] }[] = [{ path: root, names: [] }];
  for (const level of LEVELS) {
    const below: typeof folders = [];
    await mapLimited(folders, AT_ONCE, async ({ path, names }) => {
      for (const entry of await entriesOf(fs, path, obstacles)) {
        const child = { path: join(path, entry.name), names: [...names, entry.name] };
        if (level === "tag") files.push(...tagFile(child, entry));
        else if (entry.isDirectory()) below.push(child);
        else if (entry.isSymbolicLink()) {
          obstacles.push({ path: child.path, problem: "it is a link, and links are not followed" });
        }
      }
    });
    folders = below;
  }
  return { files, obstacles };
}

async function entriesOf(
  fs: FileSystem,
  path: string,
  obstacles: { path: string; problem: string }[],
): Promise<readonly FolderEntry[]> {
  try {
    return (await ifThere(fs.readdir(path))) ?? [];
  } catch (error) {
    obstacles.push({ path, problem: problemOf(error) });
    return [];
  }
}

/** Nothing for files that cannot be a manifest, such as .DS_Store. */
function tagFile({ path, names }: { path: string; names: readonly string[] }, entry: FolderEntry): Found[] {
  const name = nameFrom(names);
  if (name === undefined) return [];
  if (entry.isFile()) return [{ name, path }];
  if (entry.isDirectory()) return [{ name, path, problem: "it is a folder" }];
  if (entry.isSymbolicLink()) return [{ name, path, problem: "it is a link, and links are not followed" }];
  return [{ name, path, problem: "it is no file" }];
}

function nameFrom([folder = "", namespace = "", model = "", tag = ""]: readonly string[]):
  | ModelName
  | undefined {
  try {
    return modelName({ host: hostOfFolder(folder), namespace, model, tag });
  } catch {
    return undefined;
  }
}
