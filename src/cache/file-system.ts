import * as nodeFs from "node:fs";

const { O_RDONLY, O_DIRECTORY } = nodeFs.constants;

/**
 * The calls that the cache makes: synchronous ones, because the one thread of libuv in the engine process is busy
 * with native code. A test puts its own in their place and lets each fail in turn.
 */
export type FileSystem = Pick<
  typeof nodeFs,
  | "chmodSync"
  | "closeSync"
  | "fdatasyncSync"
  | "fstatSync"
  | "fsyncSync"
  | "futimesSync"
  | "lstatSync"
  | "mkdirSync"
  | "openSync"
  | "readSync"
  | "readdirSync"
  | "renameSync"
  | "statfsSync"
  | "unlinkSync"
  | "writeSync"
>;

export const fileSystem: FileSystem = nodeFs;

/** "ENOENT" and the like; "" for what is no error of the system. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether a file or folder belongs to the user of this process. Always true where there are no user ids. */
export function isOwn(stats: { uid: number }): boolean {
  return process.getuid === undefined || stats.uid === process.getuid();
}

/** A name is on the disk when its folder is. Windows cannot, and need not. */
export function syncFolder(fs: FileSystem, folder: string): void {
  if (process.platform === "win32") return;
  const descriptor = fs.openSync(folder, O_RDONLY | O_DIRECTORY);
  try {
    fs.fsyncSync(descriptor);
  } finally {
    tryTo(() => fs.closeSync(descriptor));
  }
}

/** For cleaning up, where the first error is the one to tell. */
export function tryTo(action: () => void): void {
  try {
    action();
  } catch {
    return;
  }
}
