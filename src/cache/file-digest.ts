import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { MullError } from "../spec/errors.ts";
import { hashFields } from "./cache-key.ts";
import type { DiskCache } from "./disk-cache.ts";
import { errorCode, type FileSystem } from "./file-system.ts";

/** Hashed between two rests. */
const STEP_BYTES = 4 * 1024 * 1024;
/** Some file systems count in two seconds: a file that was changed just now can change again unseen. */
const SETTLED_MS = 2100;

/** What tells one state of a file from another without reading it. */
interface FileIdentity {
  path: string;
  size: string;
  modifiedNs: string;
  /** Changes with every write, also where somebody sets the modification time back. */
  changedNs: string;
  inode: string;
  device: string;
}

/**
 * SHA-256 of a file, 64 hex digits. Remembered in the cache as long as the file stays the same, so that a model is
 * read once and not at every start. Rests between steps.
 *
 * @throws MullError `model_not_found` when it is not there or no file
 */
export function* fileDigest(
  fs: FileSystem,
  cache: DiskCache,
  path: string,
  nowMs: number = Date.now(),
): Generator<void, string, undefined> {
  const descriptor = openFile(fs, path);
  try {
    const { identity, settledAt } = identify(fs, descriptor, path);
    const key = hashFields("file", { ...identity });
    const known = cache.get("digest", key);
    if (known?.payload.byteLength === 32) return Buffer.from(known.payload).toString("hex");

    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(STEP_BYTES);
    for (;;) {
      const count = fs.readSync(descriptor, buffer, 0, buffer.length, null);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
      yield;
    }
    const digest = hash.digest();
    const after = hashFields("file", { ...identify(fs, descriptor, path).identity });
    if (after === key && Math.abs(nowMs - settledAt) > SETTLED_MS) {
      yield* cache.put("digest", key, digest, JSON.stringify({ path, size: Number(identity.size) }));
    }
    return digest.toString("hex");
  } finally {
    fs.closeSync(descriptor);
  }
}

function openFile(fs: FileSystem, path: string): number {
  let descriptor: number;
  try {
    // Opening a pipe would otherwise wait for its other end.
    descriptor = fs.openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const reason = errorCode(error) === "ENOENT" ? "does not exist" : "cannot be opened";
    throw new MullError("model_not_found", `The model file ${path} ${reason}.`, { cause: error });
  }
  if (fs.fstatSync(descriptor).isFile()) return descriptor;
  fs.closeSync(descriptor);
  throw new MullError("model_not_found", `${path} is no file.`);
}

function identify(
  fs: FileSystem,
  descriptor: number,
  path: string,
): { identity: FileIdentity; settledAt: number } {
  const stats = fs.fstatSync(descriptor, { bigint: true });
  const identity = {
    path,
    size: String(stats.size),
    modifiedNs: String(stats.mtimeNs),
    changedNs: String(stats.ctimeNs),
    inode: String(stats.ino),
    device: String(stats.dev),
  };
  return { identity, settledAt: Math.max(Number(stats.mtimeMs), Number(stats.ctimeMs)) };
}
