import path from "node:path";
import { type EntryKind, entryFolder, entryPath } from "./cache-directory.ts";
import type { CacheKey } from "./cache-key.ts";
import { diskSpace } from "./cache-size.ts";
import { type EntryGlance, glanceAtEntry, readEntry, type StoredEntry, writeEntry } from "./entry-file.ts";
import { DamagedEntry, entryBytes, MAX_ENTRY_BYTES, MAX_META_BYTES } from "./entry-format.ts";
import { type EntryFile, isOwnFolder, listEntryFiles, removeFile } from "./entry-listing.ts";
import { errorCode, type FileSystem, fileSystem, syncFolder } from "./file-system.ts";

export interface DiskCacheOptions {
  directory: string;
  /** Most bytes of all entries together. */
  limitBytes: number;
  /** Told once what keeps the cache from writing. Default: nobody. */
  warn?: (message: string) => void;
  fs?: FileSystem;
  /** Milliseconds since 1970. Default `Date.now`. */
  now?: () => number;
}

/** What happened since the cache was opened, and the size of the entries when they were last counted. */
export interface DiskCacheCounters {
  writes: number;
  drops: number;
  corrupt: number;
  bytes: number;
}

/** Least-recently-used by modification time, which is set anew at most so often. */
const TOUCH_MS = 60_000;
/** Other processes write, too: after so long, or so much of its own, a process counts all entries again. */
const RECOUNT_MS = 60_000;
const RECOUNT_SHARE = 1 / 16;
/** Entries beyond the limit go until this share of it is left, so that not every write must look for victims. */
const KEPT_SHARE = 0.9;
/** So many files are listed in less than a second. */
const MAX_ENTRIES = 50_000;
/** The cache gives way before others find the disk full. */
const RESERVED_SHARE_OF_DISK = 0.02;
const RESERVED_BYTES = 1e9;
/** A listing rests after so many files. */
const FILES_PER_STEP = 256;

/**
 * Entries on disk, shared by all processes of a user. Nothing read is believed without its checksum; nothing that
 * goes wrong is thrown: an entry that cannot be read is a miss, one that cannot be written is dropped.
 * All calls are synchronous and belong on a thread that may wait; long ones are generators that rest between steps.
 */
export class DiskCache {
  readonly counters: DiskCacheCounters = { writes: 0, drops: 0, corrupt: 0, bytes: 0 };
  readonly directory: string;
  readonly limitBytes: number;
  readonly #largestBytes: number;
  readonly #fs: FileSystem;
  readonly #now: () => number;
  readonly #warn: (message: string) => void;
  readonly #warned = new Set<string>();
  #entries = 0;
  #countedAt = Number.NEGATIVE_INFINITY;
  #countedBytes = 0;
  #writes = true;

  constructor(options: DiskCacheOptions) {
    this.directory = options.directory;
    this.limitBytes = options.limitBytes;
    this.#largestBytes = Math.min(this.limitBytes, MAX_ENTRY_BYTES);
    this.#fs = options.fs ?? fileSystem;
    this.#now = options.now ?? Date.now;
    this.#warn = options.warn ?? (() => {});
  }

  has(kind: EntryKind, key: CacheKey): boolean {
    try {
      const stats = this.#fs.lstatSync(entryPath(this.directory, kind, key), { throwIfNoEntry: false });
      return stats?.isFile() === true;
    } catch {
      return false;
    }
  }

  /** The entry, every byte of it checked, or undefined. One that is damaged is removed. */
  get(kind: EntryKind, key: CacheKey): StoredEntry | undefined {
    const result = this.#read(kind, key, (descriptor, modifiedMs) => this.#touch(descriptor, modifiedMs));
    return typeof result === "object" ? result : undefined;
  }

  /** Checks every byte of an entry, which does not count as use, and removes it if it is damaged. */
  verify({ kind, key }: EntryFile): "good" | "damaged" | "absent" | "unreadable" {
    const result = this.#read(kind, key);
    return typeof result === "object" ? "good" : result;
  }

  /** Header and facts, unproven; undefined if they are damaged or cannot be read. */
  glance({ kind, key }: EntryFile): EntryGlance | undefined {
    try {
      return glanceAtEntry(this.#fs, this.directory, kind, key);
    } catch {
      return undefined;
    }
  }

  /** Writes an entry. True says that it will outlive a power cut; otherwise it was dropped. */
  *put(
    kind: EntryKind,
    key: CacheKey,
    payload: Uint8Array,
    metaJson: string,
  ): Generator<void, boolean, undefined> {
    const stored = yield* this.#tryToPut(kind, key, payload, Buffer.from(metaJson));
    if (!stored) this.counters.drops += 1;
    return stored;
  }

  /** All entries, in no order. */
  list(): Generator<EntryFile, void, undefined> {
    return listEntryFiles(this.#fs, this.directory, this.#now());
  }

  /** Counts the entries anew, and removes what dead processes left unfinished. */
  *count(): Generator<void, void, undefined> {
    yield* this.#count();
  }

  /** @returns whether it is gone */
  remove(entry: EntryFile): boolean {
    return removeFile(this.#fs, entry.path);
  }

  #read(
    kind: EntryKind,
    key: CacheKey,
    onProven?: (descriptor: number, modifiedMs: number) => void,
  ): StoredEntry | "damaged" | "absent" | "unreadable" {
    try {
      if (!isOwnFolder(this.#fs, entryFolder(this.directory, kind))) return "absent";
      return readEntry(this.#fs, this.directory, kind, key, onProven) ?? "absent";
    } catch (error) {
      // Neither is a sector that cannot be read worth another try.
      if (!(error instanceof DamagedEntry) && errorCode(error) !== "EIO") return "unreadable";
      this.counters.corrupt += 1;
      removeFile(this.#fs, entryPath(this.directory, kind, key));
      return "damaged";
    }
  }

  *#tryToPut(
    kind: EntryKind,
    key: CacheKey,
    payload: Uint8Array,
    meta: Uint8Array,
  ): Generator<void, boolean, undefined> {
    const bytes = entryBytes({ metaBytes: meta.byteLength, payloadBytes: payload.byteLength });
    if (!this.#writes || meta.byteLength > MAX_META_BYTES || bytes > this.#largestBytes) return false;
    try {
      const folder = entryFolder(this.directory, kind);
      if (!this.#prepare(folder)) return false;
      if (this.has(kind, key)) {
        // Another process was quicker. Whether its entry is good is found out by whoever reads it.
        syncFolder(this.#fs, folder);
        return true;
      }
      if (!(yield* this.#makeRoom(bytes))) return false;
      yield* writeEntry(this.#fs, this.directory, { kind, key }, meta, payload);
    } catch (error) {
      this.#explain(error);
      return false;
    }
    this.counters.writes += 1;
    this.counters.bytes += bytes;
    this.#entries += 1;
    return true;
  }

  /** Folders are made when something is written, each time: somebody may have removed them. */
  #prepare(folder: string): boolean {
    const firstMade = this.#fs.mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    if (firstMade !== undefined) syncParents(this.#fs, this.directory, firstMade);
    try {
      this.#fs.mkdirSync(folder, { mode: 0o700 });
      syncFolder(this.#fs, this.directory);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
    if (!isOwnFolder(this.#fs, folder)) {
      this.#stopWriting(`${folder} belongs to somebody else, or is no folder`);
      return false;
    }
    if ((this.#fs.lstatSync(folder).mode & 0o077) !== 0) this.#fs.chmodSync(folder, 0o700);
    return true;
  }

  /** Removes the least recently used entries where `bytes` more would be too many. False: there is no room. */
  *#makeRoom(bytes: number): Generator<void, boolean, undefined> {
    const written = this.counters.bytes - this.#countedBytes;
    if (this.#now() - this.#countedAt > RECOUNT_MS || written > this.limitBytes * RECOUNT_SHARE) {
      yield* this.#count();
    }
    if (this.#fits(bytes)) return true;
    const entries = yield* this.#count();
    const limit = this.#limit();
    if (bytes > limit) {
      this.#warnOnce("full", "the disk is almost full, so new entries are not kept");
      return false;
    }
    entries.sort((a, b) => a.usedMs - b.usedMs);
    const keptBytes = Math.max(0, limit * KEPT_SHARE - bytes);
    for (const [index, entry] of entries.entries()) {
      if (this.counters.bytes <= keptBytes && this.#entries < MAX_ENTRIES * KEPT_SHARE) break;
      if (this.remove(entry)) {
        this.counters.bytes -= entry.bytes;
        this.#entries -= 1;
      }
      if (index % FILES_PER_STEP === 0) yield;
    }
    // Not every disk says at once that it has more room now.
    return this.counters.bytes + bytes <= limit;
  }

  #fits(bytes: number): boolean {
    return this.counters.bytes + bytes <= this.#limit() && this.#entries < MAX_ENTRIES;
  }

  /** The limit, or less while others need the disk. */
  #limit(): number {
    const disk = diskSpace(this.#fs, this.directory);
    if (disk === undefined) return this.limitBytes;
    const reserved = Math.min(RESERVED_BYTES, disk.totalBytes * RESERVED_SHARE_OF_DISK);
    return Math.min(this.limitBytes, this.counters.bytes + disk.freeBytes - reserved);
  }

  *#count(): Generator<void, EntryFile[], undefined> {
    const entries: EntryFile[] = [];
    let bytes = 0;
    for (const entry of this.list()) {
      entries.push(entry);
      bytes += entry.bytes;
      if (entries.length % FILES_PER_STEP === 0) yield;
    }
    this.counters.bytes = bytes;
    this.#countedBytes = bytes;
    this.#entries = entries.length;
    this.#countedAt = this.#now();
    return entries;
  }

  #touch(descriptor: number, modifiedMs: number): void {
    const now = this.#now();
    if (Math.abs(now - modifiedMs) < TOUCH_MS) return;
    try {
      this.#fs.futimesSync(descriptor, now / 1000, now / 1000);
    } catch {
      // A folder that cannot be written to is still good to read from.
      return;
    }
  }

  #explain(error: unknown): void {
    const code = errorCode(error);
    const reason = error instanceof Error ? error.message : String(error);
    // On Windows, a file that is open somewhere cannot be replaced: that says nothing about the next one.
    const passing = error instanceof Error && "syscall" in error && error.syscall === "rename";
    if (!passing && ["EROFS", "EACCES", "EPERM", "ENOTDIR", "ELOOP"].includes(code))
      this.#stopWriting(reason);
    else this.#warnOnce("write", `an entry could not be written: ${reason}`);
  }

  #stopWriting(reason: string): void {
    this.#writes = false;
    this.#warnOnce("off", `nothing is written: ${reason}`);
  }

  #warnOnce(about: string, message: string): void {
    if (this.#warned.has(about)) return;
    this.#warned.add(about);
    this.#warn(`The cache in ${this.directory}: ${message}.`);
  }
}

/** @param firstMade the outermost of the new folders, of which `folder` is the innermost */
function syncParents(fs: FileSystem, folder: string, firstMade: string): void {
  const parent = path.dirname(folder);
  syncFolder(fs, parent);
  if (folder.length > firstMade.length) syncParents(fs, parent, firstMade);
}
