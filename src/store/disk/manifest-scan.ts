import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { MullError } from "../../spec/errors.ts";
import { digestOf } from "../digest.ts";
import { blobsOf, type Manifest, parseManifest } from "../manifest.ts";
import { type ModelName, type ModelNameParts, modelName } from "../model-name.ts";
import type { DamagedModel, StoredModel } from "../model-store.ts";
import { hostOfFolder } from "../store-paths.ts";
import { errorCode, type FileSystem, type FolderEntry, isMissing, millisecondsOf } from "./file-system.ts";

/** More than parseManifest takes. */
export const MOST_MANIFEST_BYTES: number = 4 * 1024 * 1024 + 1;
/** What waits for this thread is let in so often. */
const SLICE_MS = 8;

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
  const models: (StoredModel & { path: string })[] = [];
  const damaged: DamagedModel[] = [];
  const obstacles: { path: string; problem: string }[] = [];
  let rested = performance.now();
  for (const file of walk(fs, folder, [], obstacles)) {
    const result = file === undefined ? undefined : readOrReport(fs, file);
    if (result !== undefined && "problem" in result) damaged.push(result);
    else if (result !== undefined) models.push(result);
    if (performance.now() - rested < SLICE_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    rested = performance.now();
  }
  return { models, damaged, obstacles };
}

export function newestFirst(models: readonly StoredModel[]): readonly StoredModel[] {
  return [...models].sort((one, other) => other.modifiedAt.getTime() - one.modifiedAt.getTime());
}

/**
 * Undefined: it is not there any more.
 *
 * @throws errors of the system, which say nothing about the manifest
 */
export function readManifest(
  fs: FileSystem,
  { name, path, problem }: Found,
): (StoredModel & { path: string }) | DamagedModel | undefined {
  if (problem !== undefined) return { name, path, problem };
  try {
    const { bytes, stats } = fs.readFileSync(path, MOST_MANIFEST_BYTES);
    const modifiedAt = new Date(millisecondsOf(stats.mtimeNs));
    return { path, ...storedModel(name, bytes, parseManifest(bytes, path), modifiedAt) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (!MullError.is(error) && !["ELOOP", "EMLINK", "EISDIR"].includes(errorCode(error))) throw error;
    return { name, path, problem: problemOf(error) };
  }
}

/** @param bytes of the manifest */
export function storedModel(
  name: ModelName,
  bytes: Uint8Array,
  manifest: Manifest,
  modifiedAt: Date,
): StoredModel {
  const total = blobsOf(manifest).reduce((sum, { size }) => sum + size, 0);
  return { name, digest: digestOf(bytes), manifest, bytes: total, modifiedAt };
}

function readOrReport(fs: FileSystem, file: Found): ReturnType<typeof readManifest> {
  try {
    return readManifest(fs, file);
  } catch (error) {
    throwIfExhausted(error);
    return { name: file.name, path: file.path, problem: problemOf(error) };
  }
}

/** What this process lacks at the moment says nothing about a file. */
function throwIfExhausted(error: unknown): void {
  if (["EMFILE", "ENFILE", "ENOMEM"].includes(errorCode(error))) throw error;
}

function problemOf(error: unknown): string {
  const code = errorCode(error);
  if (code === "ELOOP" || code === "EMLINK") return IS_LINK;
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error ? error.message : String(error);
}

const IS_LINK = "it is a link, and links are not followed";
const LEVELS = ["host", "namespace", "model", "tag"] as const satisfies readonly (keyof ModelNameParts)[];

/** Manifests below a folder; undefined now and then, where it looked into a folder. */
function* walk(
  fs: FileSystem,
  folder: string,
  names: readonly string[],
  obstacles: { path: string; problem: string }[],
): Generator<Found | undefined, void, undefined> {
  const isLast = names.length === LEVELS.length - 1;
  yield undefined;
  for (const entry of entriesOf(fs, folder, obstacles)) {
    const child = { path: join(folder, entry.name), names: [...names, entry.name] };
    if (isLast) yield tagFile(child, entry);
    else if (entry.isDirectory()) yield* walk(fs, child.path, child.names, obstacles);
    else if (entry.isSymbolicLink()) obstacles.push({ path: child.path, problem: IS_LINK });
  }
}

function entriesOf(
  fs: FileSystem,
  path: string,
  obstacles: { path: string; problem: string }[],
): readonly FolderEntry[] {
  try {
    return fs.readdirSync(path);
  } catch (error) {
    throwIfExhausted(error);
    if (!isMissing(error)) obstacles.push({ path, problem: problemOf(error) });
    return [];
  }
}

/** Undefined for files that cannot be a manifest, such as .DS_Store. */
function tagFile(
  { path, names }: { path: string; names: readonly string[] },
  entry: FolderEntry,
): Found | undefined {
  const name = nameFrom(names);
  if (name === undefined || entry.isFile()) return name && { name, path };
  if (entry.isDirectory()) return { name, path, problem: "it is a folder" };
  return { name, path, problem: entry.isSymbolicLink() ? IS_LINK : "it is no file" };
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
