import { createHash } from "node:crypto";
import { MullError } from "../../spec/errors.ts";
import { digestOfHex } from "../digest.ts";
import { openNewFile, READ_FILE, removeFile, writeFully } from "./durable-files.ts";
import type { FileSystem, StoreFile } from "./file-system.ts";
import type { HashedFile, HashOptions } from "./hash-file.ts";
import { throwIfAborted } from "./store-error.ts";
import { identityOf, isSameFile } from "./verification-record.ts";

/** Short enough not to hold up this thread: a millisecond of hashing. */
const STEP_BYTES = 1024 * 1024;

/**
 * Copies to a new file, which is on the disk afterwards, and hashes what it wrote. Where that fails nothing is left.
 *
 * @throws MullError `invalid_argument` when somebody writes to the file meanwhile
 */
export async function copyFile(
  fs: FileSystem,
  from: string,
  to: string,
  options: HashOptions = {},
): Promise<HashedFile> {
  const source = await fs.open(from, READ_FILE);
  try {
    const before = identityOf(await source.stat());
    const target = await openNewFile(fs, to);
    try {
      const { hex, size } = await copyBytes(source, target, Number(before.size), options);
      if (!isSameFile(before, identityOf(await source.stat())) || String(size) !== before.size) {
        throw new MullError("invalid_argument", `${from} was changed while it was copied.`, {
          hint: "Wait until nobody writes to it, and repeat.",
        });
      }
      await target.sync();
      const identity = identityOf(await target.stat());
      await target.close();
      return { digest: digestOfHex(hex), size, identity };
    } catch (error) {
      await target.close().catch(() => {});
      await removeFile(fs, to).catch(() => {});
      throw error;
    }
  } finally {
    await source.close().catch(() => {});
  }
}

/** Reads a piece, writes one and hashes one at the same time. */
async function copyBytes(
  source: StoreFile,
  target: StoreFile,
  total: number,
  { signal, onProgress }: HashOptions,
): Promise<{ hex: string; size: number }> {
  const hash = createHash("sha256");
  const length = Math.min(STEP_BYTES, Math.max(total, 1));
  let [current, other] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)];
  let size = 0;
  let { bytesRead } = await source.read(current, 0, length, 0);
  while (bytesRead > 0) {
    throwIfAborted(signal);
    const piece = current.subarray(0, bytesRead);
    const written = writeFully(target, piece, size);
    const next = source.read(other, 0, length, size + bytesRead);
    hash.update(piece);
    // Both, so that no buffer is in use when either fails.
    const [write, read] = await Promise.allSettled([written, next]);
    if (write.status === "rejected") throw write.reason;
    if (read.status === "rejected") throw read.reason;
    size += bytesRead;
    bytesRead = read.value.bytesRead;
    [current, other] = [other, current];
    onProgress?.(size, total);
  }
  return { hex: hash.digest("hex"), size };
}
