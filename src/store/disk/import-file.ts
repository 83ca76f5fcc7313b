import { MullError } from "../../spec/errors.ts";
import type { Blob, BlobFiles } from "./blob-files.ts";
import { copyFile } from "./copy-file.ts";
import { READ_FILE, removeFile } from "./durable-files.ts";
import { errorCode, type FileSystem, ifThere } from "./file-system.ts";
import { requireSpace } from "./free-space.ts";
import type { HashOptions } from "./hash-file.ts";
import { hashInWorker } from "./hash-in-worker.ts";
import { publishBlob } from "./publish-blob.ts";
import { requireWritable, type StoreContext } from "./store-context.ts";

export interface ImportOptions {
  /** Never a hard link: the file's owner may go on writing to it. Default false. */
  copy?: boolean;
  signal?: AbortSignal;
  onProgress?: (completed: number, total: number) => void;
}

/** A file that changes so often is written to. */
const MOST_HASHINGS = 8;

/** A file elsewhere to a blob: a clone, else a hard link, else a copy. */
export async function importFile(
  context: StoreContext,
  blobs: BlobFiles,
  path: string,
  options: ImportOptions,
): Promise<Blob> {
  requireWritable(context);
  const { fs, temporaries } = context;
  // A hard link to a symbolic link would be one.
  const source = await ifThere(fs.realpath(path));
  const stats = source === undefined ? undefined : await ifThere(fs.stat(source));
  if (source === undefined || !stats?.isFile()) throw notFound(path, stats !== undefined);
  await requireReadable(context, source, path);
  const temporary = await temporaries.create();
  const hashing = { signal: options.signal, onProgress: options.onProgress, now: context.now };
  try {
    await removeFile(fs, temporary);
    if (await isShared(fs, source, temporary, options)) {
      return await publishShared(context, blobs, { source, temporary }, hashing);
    }
    await removeFile(fs, temporary);
    await requireSpace(fs, context.paths.root, Number(stats.size));
    const { digest, size, identity } = await copyFile(fs, source, temporary, hashing);
    await publishBlob(context, blobs, temporary, { digest, size }, identity);
    return { digest, size };
  } finally {
    await temporaries.remove(temporary);
  }
}

async function isShared(
  fs: FileSystem,
  source: string,
  target: string,
  { copy = false }: ImportOptions,
): Promise<boolean> {
  if (await isPossible(fs.clone(source, target))) return true;
  return !copy && (await isPossible(fs.link(source, target)));
}

/** Who else links to the file, or removes a link, changes a time of it: then it is hashed again. */
async function publishShared(
  context: StoreContext,
  blobs: BlobFiles,
  { source, temporary }: { source: string; temporary: string },
  hashing: HashOptions,
): Promise<Blob> {
  for (let hashings = 0; hashings < MOST_HASHINGS; hashings++) {
    const hashed = await ifThere(hashInWorker(context.fs, temporary, hashing));
    // Whose bytes were seen to change is removed.
    if (hashed === undefined) break;
    const { digest, size, identity } = hashed;
    if (identity === undefined) continue;
    try {
      await publishBlob(context, blobs, temporary, { digest, size }, identity);
      return { digest, size };
    } catch (error) {
      if (!MullError.is(error) || error.code !== "digest_mismatch") throw error;
    }
  }
  throw new MullError("invalid_argument", `${source} was changed while it was read.`, {
    hint: "Wait until nobody writes to it, and repeat.",
  });
}

/** Whether a file system can do that. A disk that is full or broken is no such question. */
async function isPossible(attempt: Promise<void>): Promise<boolean> {
  try {
    await attempt;
    return true;
  } catch (error) {
    if (["ENOSPC", "EDQUOT", "EIO", "ENOENT", "EMFILE", "ENFILE", "EROFS"].includes(errorCode(error)))
      throw error;
    return false;
  }
}

async function requireReadable({ fs }: StoreContext, source: string, path: string): Promise<void> {
  try {
    const file = await fs.open(source, READ_FILE);
    await file.close();
  } catch (error) {
    if (!["EACCES", "EPERM", "ENOENT"].includes(errorCode(error))) throw error;
    const problem = (error as Error).message;
    throw new MullError("model_not_found", `The file ${path} cannot be read: ${problem}.`, {
      hint: "Give your user the right to read it.",
      cause: error,
    });
  }
}

function notFound(path: string, isThere: boolean): MullError {
  return new MullError(
    "model_not_found",
    isThere ? `${path} is no file.` : `The file ${path} does not exist.`,
    {
      hint: "Check the path.",
    },
  );
}
