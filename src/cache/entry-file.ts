import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import path from "node:path";
import { type EntryKind, entryPath } from "./cache-directory.ts";
import type { CacheKey } from "./cache-key.ts";
import { CHECKSUM_BYTES, EntryChecksum } from "./entry-checksum.ts";
import { DamagedEntry, decodeHeader, encodeHeader, type EntryHeader, HEADER_BYTES } from "./entry-format.ts";
import { errorCode, type FileSystem, isOwn, syncFolder, tryTo } from "./file-system.ts";

/** Read, hashed and written at a time: small enough to be still in the processor's cache for the second look. */
const SLICE_BYTES = 512 * 1024;
/** Written between two rests, in which the worker answers whoever waits. */
const STEP_BYTES = 4 * 1024 * 1024;
/** Handed to the disk at a time: otherwise the last fsync would write everything, with everybody waiting. */
const SYNC_BYTES = 16 * 1024 * 1024;

/** Begins the names of unfinished files: no key begins so. */
export const TEMPORARY_PREFIX = "writing-";

// Neither a link nor a pipe that somebody put there may be followed or waited for. Windows has neither flag.
const NO_FOLLOW = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** What is known of an entry without its payload; only `readEntry` has proven it. */
export interface EntryGlance {
  header: EntryHeader;
  meta: unknown;
}

export interface StoredEntry extends EntryGlance {
  payload: ArrayBuffer;
}

/**
 * Writes an entry so that it is there whole or not at all, whatever happens meanwhile: into a file of another name,
 * which gets its own when every byte is on the disk. Rests between steps; to abandon it, leave the loop.
 *
 * @throws the file system's errors; nothing is left behind then
 */
export function* writeEntry(
  fs: FileSystem,
  directory: string,
  { kind, key }: Pick<EntryHeader, "kind" | "key">,
  meta: Uint8Array,
  payload: Uint8Array,
): Generator<void, void, undefined> {
  const file = entryPath(directory, kind, key);
  const temporary = path.join(path.dirname(file), TEMPORARY_PREFIX + randomUUID());
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
  const descriptor = fs.openSync(temporary, flags, 0o600);
  let open = true;
  let published = false;
  try {
    const sizes = { metaBytes: meta.byteLength, payloadBytes: payload.byteLength };
    const head = Buffer.concat([encodeHeader({ kind, key, createdMs: Date.now(), ...sizes }), meta]);
    writeAll(fs, descriptor, head);
    const checksum = new EntryChecksum(head);
    for (let start = 0; start < payload.byteLength; start += SLICE_BYTES) {
      const slice = payload.subarray(start, start + SLICE_BYTES);
      checksum.update(slice);
      writeAll(fs, descriptor, slice);
      const end = start + SLICE_BYTES;
      if (end % SYNC_BYTES === 0) fs.fdatasyncSync(descriptor);
      if (end % STEP_BYTES === 0) yield;
    }
    writeAll(fs, descriptor, checksum.digest());
    fs.fsyncSync(descriptor);
    open = false;
    fs.closeSync(descriptor);
    fs.renameSync(temporary, file);
    published = true;
    syncFolder(fs, path.dirname(file));
  } finally {
    if (open) tryTo(() => fs.closeSync(descriptor));
    if (!published) tryTo(() => fs.unlinkSync(temporary));
  }
}

/**
 * Reads an entry and proves it: owner, header, key, lengths, and the checksum over every byte.
 *
 * @returns undefined if there is none
 * @throws DamagedEntry if it is not what was written; the file system's errors
 */
export function readEntry(
  fs: FileSystem,
  directory: string,
  kind: EntryKind,
  key: CacheKey,
  onProven?: (descriptor: number, modifiedMs: number) => void,
): StoredEntry | undefined {
  return withEntry(fs, directory, kind, key, (descriptor, modifiedMs, glance, checksum) => {
    const payload = new ArrayBuffer(glance.header.payloadBytes);
    for (let start = 0; start < payload.byteLength; start += SLICE_BYTES) {
      const slice = new Uint8Array(payload, start, Math.min(SLICE_BYTES, payload.byteLength - start));
      readAll(fs, descriptor, slice);
      checksum.update(slice);
    }
    const expected = Buffer.alloc(CHECKSUM_BYTES);
    readAll(fs, descriptor, expected);
    if (!checksum.digest().equals(expected)) throw new DamagedEntry("The checksum is wrong.");
    onProven?.(descriptor, modifiedMs);
    return { ...glance, payload };
  });
}

/** Header and facts of an entry, for lists. @throws as `readEntry`, but the checksum is not looked at */
export function glanceAtEntry(
  fs: FileSystem,
  directory: string,
  kind: EntryKind,
  key: CacheKey,
): EntryGlance | undefined {
  return withEntry(fs, directory, kind, key, (_descriptor, _modifiedMs, glance) => glance);
}

function withEntry<Result>(
  fs: FileSystem,
  directory: string,
  kind: EntryKind,
  key: CacheKey,
  read: (descriptor: number, modifiedMs: number, glance: EntryGlance, checksum: EntryChecksum) => Result,
): Result | undefined {
  const descriptor = openEntry(fs, entryPath(directory, kind, key));
  if (descriptor === undefined) return undefined;
  try {
    const stats = fs.fstatSync(descriptor);
    if (!stats.isFile() || !isOwn(stats)) throw new DamagedEntry("It is no file of this user.");
    const bytes = Buffer.alloc(Math.min(HEADER_BYTES, stats.size));
    readAll(fs, descriptor, bytes);
    const header = decodeHeader(bytes, kind, key, stats.size);
    const meta = Buffer.alloc(header.metaBytes);
    readAll(fs, descriptor, meta);
    const checksum = new EntryChecksum(Buffer.concat([bytes, meta]));
    return read(descriptor, stats.mtimeMs, { header, meta: parseMeta(meta) }, checksum);
  } finally {
    tryTo(() => fs.closeSync(descriptor));
  }
}

function parseMeta(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch {
    throw new DamagedEntry("The facts are no JSON.");
  }
}

function openEntry(fs: FileSystem, file: string): number | undefined {
  try {
    return fs.openSync(file, constants.O_RDONLY | NO_FOLLOW);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    // What systems say of a link that must not be followed, and of a socket.
    if (["ELOOP", "EMLINK", "ENXIO"].includes(code)) throw new DamagedEntry("It is no file.");
    throw error;
  }
}

function writeAll(fs: FileSystem, descriptor: number, bytes: Uint8Array): void {
  for (let start = 0; start < bytes.byteLength;) start += fs.writeSync(descriptor, bytes, start);
}

function readAll(fs: FileSystem, descriptor: number, target: Uint8Array): void {
  for (let start = 0; start < target.byteLength;) {
    const count = fs.readSync(descriptor, target, start, target.byteLength - start, null);
    if (count === 0) throw new DamagedEntry("The file is cut off.");
    start += count;
  }
}
