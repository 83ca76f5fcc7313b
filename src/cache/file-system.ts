import * as nodeFs from "node:fs";

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
