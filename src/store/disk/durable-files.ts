import { constants } from "node:fs";
import { dirname } from "node:path";
import { errorCode, type FileSystem, ifThere, type StoreFile, unlessRefused } from "./file-system.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** A new file: no other has this name. */
export const NEW_FILE: number = O_CREAT | O_EXCL | O_WRONLY;
/** Opening a pipe would otherwise wait for its other end. */
export const READ_FILE: number = O_RDONLY | O_NONBLOCK;
/** As it stands there, and nothing that a link leads to. */
export const READ_OWN_FILE: number = READ_FILE | O_NOFOLLOW;

/** A name is on the disk when its folder is. Windows and some network file systems cannot, and need not. */
export async function syncFolder(fs: FileSystem, folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await fs.open(folder, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errorCode(error))) throw error;
  } finally {
    await handle.close().catch(() => {});
  }
}

/** The bytes of a file to the disk. Where that fails they may be lost: it is not to be tried again. */
export async function syncFile(fs: FileSystem, path: string): Promise<void> {
  // Windows syncs only what may be written to.
  const file = await fs.open(path, process.platform === "win32" ? O_RDWR : READ_FILE);
  try {
    await file.sync();
  } finally {
    await file.close().catch(() => {});
  }
}

/** Creates what is missing of a folder and its parents; what it created is on the disk afterwards. */
export async function makeFolder(fs: FileSystem, folder: string): Promise<void> {
  if (!(await tryMakeFolder(fs, folder))) {
    await makeFolder(fs, dirname(folder));
    await tryMakeFolder(fs, folder);
  }
}

/** @returns false where the parent is missing */
async function tryMakeFolder(fs: FileSystem, folder: string): Promise<boolean> {
  try {
    await fs.mkdir(folder);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return true;
    if (errorCode(error) === "ENOENT" && dirname(folder) !== folder) return false;
    throw error;
  }
  // A parent may be one in which this user may create folders, and not look.
  await unlessRefused(syncFolder(fs, dirname(folder)));
  return true;
}

/** Opens a new file; its folder is created if that is missing. */
export async function openNewFile(fs: FileSystem, path: string): Promise<StoreFile> {
  const first = await ifThere(fs.open(path, NEW_FILE, 0o644));
  if (first !== undefined) return first;
  await makeFolder(fs, dirname(path));
  return fs.open(path, NEW_FILE, 0o644);
}

export async function writeFully(file: StoreFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Writes a new file that is on the disk afterwards. Where that fails nothing is left of it. */
export async function writeNewFile(fs: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const file = await openNewFile(fs, path);
  try {
    await writeFully(file, bytes, 0);
    await file.sync();
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    await removeFile(fs, path).catch(() => {});
    throw error;
  }
}

/** @param mostBytes what is longer is cut there */
export async function readFully(file: StoreFile, mostBytes: number): Promise<Uint8Array> {
  const size = Number((await file.stat()).size);
  // One more, to see whether it grows.
  const buffer = new Uint8Array(Math.min(size + 1, mostBytes));
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** The bytes of a small file that is not reached through a link; undefined if it is not there. */
export async function readSmallFile(
  fs: FileSystem,
  path: string,
  mostBytes: number,
): Promise<Uint8Array | undefined> {
  const file = await ifThere(fs.open(path, READ_OWN_FILE));
  if (file === undefined) return undefined;
  try {
    return await readFully(file, mostBytes);
  } finally {
    await file.close().catch(() => {});
  }
}

/** @returns whether there was one */
export async function removeFile(fs: FileSystem, path: string): Promise<boolean> {
  return (await ifThere(fs.unlink(path).then(() => true))) ?? false;
}

/** Whether a rename failed because the two places are on different file systems. */
export function isOtherDisk(error: unknown): boolean {
  return errorCode(error) === "EXDEV";
}
