import type { Stats } from "node:fs";
import path from "node:path";
import { ENTRY_KINDS, type EntryKind, entryFolder } from "./cache-directory.ts";
import { type CacheKey, isCacheKey } from "./cache-key.ts";
import { TEMPORARY_PREFIX } from "./entry-file.ts";
import { errorCode, type FileSystem, isOwn } from "./file-system.ts";

/** An unfinished file that nobody has written to for so long belongs to a process that died. */
const ABANDONED_MS = 10 * 60_000;
/** A time that lies so far ahead was set by a clock that was wrong: it must not keep an entry for ever. */
const CLOCK_SKEW_MS = 60 * 60_000;

/** One file of the cache as the folder shows it. */
export interface EntryFile {
  kind: EntryKind;
  key: CacheKey;
  path: string;
  bytes: number;
  /** When it was last used, in ms since 1970. 0 if that lies in the future. */
  usedMs: number;
}

/** Whether the folder of a kind is a folder, not a link to one, and belongs to this user. */
export function isOwnFolder(fs: FileSystem, folder: string): boolean {
  const stats = statsOf(fs, folder);
  return stats !== undefined && stats.isDirectory() && isOwn(stats);
}

/**
 * All entries on disk, in no order; removes what dead processes left unfinished. Other files are left alone.
 * Processes come and go meanwhile: what vanishes is skipped.
 */
export function* listEntryFiles(
  fs: FileSystem,
  directory: string,
  nowMs: number,
): Generator<EntryFile, void, undefined> {
  for (const kind of ENTRY_KINDS) {
    const folder = entryFolder(directory, kind);
    for (const name of readFolder(fs, folder)) {
      const file = path.join(folder, name);
      const stats = statsOf(fs, file);
      if (stats === undefined) continue;
      if (isCacheKey(name)) {
        const usedMs = stats.mtimeMs > nowMs + CLOCK_SKEW_MS ? 0 : stats.mtimeMs;
        yield { kind, key: name, path: file, bytes: stats.size, usedMs };
      } else if (
        name.startsWith(TEMPORARY_PREFIX) &&
        Math.abs(nowMs - stats.mtimeMs) > ABANDONED_MS &&
        isOwn(stats)
      ) {
        removeFile(fs, file);
      }
    }
  }
}

/** @returns whether it is gone now, whoever removed it */
export function removeFile(fs: FileSystem, file: string): boolean {
  try {
    fs.unlinkSync(file);
    return true;
  } catch (error) {
    return errorCode(error) === "ENOENT";
  }
}

function statsOf(fs: FileSystem, file: string): Stats | undefined {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readFolder(fs: FileSystem, folder: string): string[] {
  try {
    return isOwnFolder(fs, folder) ? fs.readdirSync(folder) : [];
  } catch {
    return [];
  }
}
