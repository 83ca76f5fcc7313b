import { dirname } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { errorCode, type FileSystem } from "./file-system.ts";

/** Left to others, and to what a file system needs besides the bytes of a file. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** @throws MullError `insufficient_storage` when so many bytes more do not fit */
export async function requireSpace(fs: FileSystem, root: string, bytes: number): Promise<void> {
  const free = await freeBytes(fs, root);
  if (free === undefined || bytes + RESERVE_BYTES <= free) return;
  throw new MullError(
    "insufficient_storage",
    `${formatBytes(bytes)} do not fit on the disk of ${root}: ${formatBytes(free)} are free, of which ${formatBytes(RESERVE_BYTES)} stay free.`,
    {
      hint: "Remove models with 'mull rm', or name a folder on another disk in MULL_MODELS.",
      details: { neededBytes: bytes, freeBytes: free, reservedBytes: RESERVE_BYTES },
    },
  );
}

/** To this user. Undefined where the file system does not say. */
async function freeBytes(fs: FileSystem, folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await fs.statfs(folder);
    return Number(bavail * bsize);
  } catch (error) {
    const isMissing = errorCode(error) === "ENOENT" && dirname(folder) !== folder;
    return isMissing ? freeBytes(fs, dirname(folder)) : undefined;
  }
}

function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), units.length);
  return `${(bytes / 1000 ** power).toFixed(power > 2 ? 2 : 0)} ${units[power - 1]}`;
}
