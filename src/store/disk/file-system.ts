import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import * as nodeFs from "node:fs/promises";

export interface FileStats {
  readonly size: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
  readonly nlink: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface FolderEntry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** An open file. Positions are always said: nothing depends on where the last call ended. */
export interface StoreFile {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
  stat(): Promise<FileStats>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The calls that the store makes. A test puts its own in their place, and lets each fail in turn. */
export interface FileSystem {
  open(path: string, flags: number, mode?: number): Promise<StoreFile>;
  /** Follows links. */
  stat(path: string): Promise<FileStats>;
  lstat(path: string): Promise<FileStats>;
  /** One folder, whose parent is there. */
  mkdir(path: string): Promise<void>;
  readdir(path: string): Promise<readonly FolderEntry[]>;
  /** At once: hundreds of small files are read several times as fast as by threads. */
  readdirSync(path: string): readonly FolderEntry[];
  /** A whole file that no link leads to, cut after so many bytes. */
  readFileSync(path: string, mostBytes: number): { readonly bytes: Uint8Array; readonly stats: FileStats };
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  /** A copy that shares its blocks until one of the two is written to. Fails where the file system has none. */
  clone(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  realpath(path: string): Promise<string>;
  /** Times in seconds. */
  utimes(path: string, accessed: number, modified: number): Promise<void>;
  statfs(path: string): Promise<{ readonly bavail: bigint; readonly bsize: bigint }>;
}

export const fileSystem: FileSystem = {
  open: async (path, flags, mode) => {
    const handle = await nodeFs.open(path, flags, mode);
    return {
      read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position),
      write: (buffer, offset, length, position) => handle.write(buffer, offset, length, position),
      stat: () => handle.stat({ bigint: true }),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  stat: (path) => nodeFs.stat(path, { bigint: true }),
  lstat: (path) => nodeFs.lstat(path, { bigint: true }),
  mkdir: (path) => nodeFs.mkdir(path),
  readdir: (path) => nodeFs.readdir(path, { withFileTypes: true }),
  readdirSync: (path) => readdirSync(path, { withFileTypes: true }),
  readFileSync: readWholeFileSync,
  rename: nodeFs.rename,
  link: nodeFs.link,
  clone: (from, to) => nodeFs.copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE),
  unlink: nodeFs.unlink,
  rmdir: (path) => nodeFs.rmdir(path),
  realpath: (path) => nodeFs.realpath(path),
  utimes: nodeFs.utimes,
  statfs: (path) => nodeFs.statfs(path, { bigint: true }),
};

function readWholeFileSync(path: string, mostBytes: number): { bytes: Uint8Array; stats: FileStats } {
  // A pipe would wait for its other end.
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  const descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    // One more than it has, to see whether it grows.
    const size = Number(stats.size);
    const buffer = Buffer.allocUnsafe(Math.min(size + 1, mostBytes));
    let filled = 0;
    while (filled < buffer.length) {
      const count = readSync(descriptor, buffer, filled, buffer.length - filled, filled);
      filled += count;
      if (count === 0 || filled === size) break;
    }
    return { bytes: buffer.subarray(0, filled), stats };
  } finally {
    closeSync(descriptor);
  }
}

/** "ENOENT" and the like; "" for what is no error of the system. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What a call gives, or undefined where there is no such file or folder. */
export async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** For what is done where it may be done: on a read-only disk, or without the right, it is left. */
export async function unlessRefused(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!["EROFS", "EACCES", "EPERM"].includes(errorCode(error))) throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errorCode(error));
}

export function millisecondsOf(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000_000n);
}
