import { join } from "node:path";
import { removeFile } from "./durable-files.ts";
import { type FileSystem, ifThere } from "./file-system.ts";

/**
 * Removes a file, or a folder with all that is in it; links are removed, not followed.
 *
 * @returns the bytes that were freed
 */
export async function removeTree(fs: FileSystem, path: string): Promise<number> {
  const stats = await ifThere(fs.lstat(path));
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) {
    const removed = await removeFile(fs, path);
    return removed && stats.isFile() && stats.nlink === 1n ? Number(stats.size) : 0;
  }
  let freedBytes = 0;
  for (const { name } of (await ifThere(fs.readdir(path))) ?? [])
    freedBytes += await removeTree(fs, join(path, name));
  await ifThere(fs.rmdir(path));
  return freedBytes;
}
