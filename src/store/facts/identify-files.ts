import { stat } from "node:fs/promises";

/** Device, inode, size and times of files: while they are the same, so are the files. Undefined when one is gone. */
export async function identifyFiles(paths: readonly string[]): Promise<string | undefined> {
  try {
    const stats = await Promise.all(paths.map((path) => stat(path, { bigint: true })));
    return stats
      .map(({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join())
      .join(";");
  } catch {
    return undefined;
  }
}
