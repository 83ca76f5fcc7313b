import path from "node:path";
import { MullError } from "../spec/errors.ts";
import { errorCode, type FileSystem } from "./file-system.ts";

const MOST_BYTES = 10e9;
const SHARE_OF_DISK = 0.1;
const SIZE = /^(\d+(?:\.\d+)?) ?([kmgt]?)(i?)(b?)$/i;

/**
 * Most bytes that the cache may take: MULL_CACHE_SIZE ("2GB", "500 MiB", 0 for nothing), else 10 GB or a tenth of
 * its disk, whichever is less.
 *
 * @throws MullError `invalid_argument` for a size that is none
 */
export function cacheSizeLimit(fs: FileSystem, directory: string, env: NodeJS.ProcessEnv): number {
  const wanted = env["MULL_CACHE_SIZE"] ?? "";
  if (wanted !== "") return parseSize(wanted);
  const disk = diskSpace(fs, directory);
  return disk === undefined ? MOST_BYTES : Math.min(MOST_BYTES, Math.floor(disk.totalBytes * SHARE_OF_DISK));
}

function parseSize(text: string): number {
  const [, number, prefix = "", binary] = SIZE.exec(text.trim()) ?? [];
  if (number === undefined || (binary !== "" && prefix === "")) {
    throw new MullError("invalid_argument", `MULL_CACHE_SIZE is ${JSON.stringify(text)}, which is no size.`, {
      hint: "Write it as 2GB, 500MB or 1.5GiB; 0 keeps nothing on disk.",
    });
  }
  const power = ["", "k", "m", "g", "t"].indexOf(prefix.toLowerCase());
  return Math.floor(Number(number) * (binary === "" ? 1000 : 1024) ** power);
}

/** Of the disk that a folder lies on, or will lie on once it is there. Undefined where that cannot be told. */
export function diskSpace(
  fs: FileSystem,
  directory: string,
): { totalBytes: number; freeBytes: number } | undefined {
  try {
    const { blocks, bavail, bsize } = fs.statfsSync(directory);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch (error) {
    const parent = path.dirname(directory);
    return errorCode(error) === "ENOENT" && parent !== directory ? diskSpace(fs, parent) : undefined;
  }
}
