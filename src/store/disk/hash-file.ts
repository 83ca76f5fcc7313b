import { createHash } from "node:crypto";
import { MullError } from "../../spec/errors.ts";
import { type Digest, digestOfHex } from "../digest.ts";
import { READ_FILE } from "./durable-files.ts";
import { type FileStats, type FileSystem, millisecondsOf, type StoreFile } from "./file-system.ts";
import { throwIfAborted } from "./store-error.ts";
import { type FileIdentity, identityOf, isSameFile } from "./verification-record.ts";

const STEP_BYTES = 4 * 1024 * 1024;
/** Longer than the clock of any file system stands still that counts in less than seconds. */
const TICK_MS = 20;
/** Some count in two seconds. */
const COARSE_TICK_MS = 2100;

export interface HashedFile {
  digest: Digest;
  size: number;
  /** Of the file while it was hashed; undefined: somebody wrote to it meanwhile. */
  identity: FileIdentity | undefined;
}

export interface HashOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((completed: number, total: number) => void) | undefined;
  now?: () => number;
}

/** SHA-256 of a file, read in this thread. The next piece is read while one is hashed. */
export async function hashFile(fs: FileSystem, path: string, options: HashOptions = {}): Promise<HashedFile> {
  const file = await fs.open(path, READ_FILE);
  try {
    const before = await settledStats(file, options.now ?? Date.now);
    if (!before.isFile()) throw new MullError("model_not_found", `${path} is no file.`);
    const { hex, size } = await hashOpenFile(file, Number(before.size), options);
    const after = await file.stat();
    const identity = identityOf(before);
    const unchanged = isSameFile(identity, identityOf(after)) && BigInt(size) === before.size;
    return { digest: digestOfHex(hex), size, identity: unchanged ? identity : undefined };
  } finally {
    await file.close().catch(() => {});
  }
}

/**
 * Waits until a file that was changed just now can not change again without showing another time. Its times are
 * those of a clock that moves in steps.
 */
async function settledStats(file: StoreFile, now: () => number): Promise<FileStats> {
  const stats = await file.stat();
  const newest = millisecondsOf(stats.mtimeNs > stats.ctimeNs ? stats.mtimeNs : stats.ctimeNs);
  // In the future by much: the clock was set back, and what comes now has another time in any case.
  if (Math.abs(now() - newest) > COARSE_TICK_MS) return stats;
  const isCoarse = stats.mtimeNs % 1_000_000_000n === 0n && stats.ctimeNs % 1_000_000_000n === 0n;
  await new Promise((resolve) => setTimeout(resolve, isCoarse ? COARSE_TICK_MS : TICK_MS));
  return file.stat();
}

async function hashOpenFile(
  file: StoreFile,
  total: number,
  { signal, onProgress }: HashOptions,
): Promise<{ hex: string; size: number }> {
  const hash = createHash("sha256");
  const length = Math.min(STEP_BYTES, Math.max(total, 1));
  let [current, other] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)];
  let size = 0;
  let pending = file.read(current, 0, length, 0);
  for (;;) {
    const { bytesRead } = await pending;
    if (bytesRead === 0) return { hex: hash.digest("hex"), size };
    throwIfAborted(signal);
    size += bytesRead;
    pending = file.read(other, 0, length, size);
    // Who throws here must not leave a failed read that nobody looks at.
    pending.catch(() => {});
    hash.update(current.subarray(0, bytesRead));
    [current, other] = [other, current];
    onProgress?.(size, total);
  }
}
