import { MullError } from "../../spec/errors.ts";
import type { Blob, BlobFiles } from "./blob-files.ts";
import { copyFile } from "./copy-file.ts";
import { READ_FILE, removeFile } from "./durable-files.ts";
import { errorCode, ifThere } from "./file-system.ts";
import { requireSpace } from "./free-space.ts";
import type { HashedFile } from "./hash-file.ts";
import { hashInWorker } from "./hash-in-worker.ts";
import { publishBlob } from "./publish-blob.ts";
import { requireWritable, type StoreContext } from "./store-context.ts";

export interface ImportOptions {
  /** Never a hard link: the file's owner may go on writing to it. Default false. */
  copy?: boolean;
  signal?: AbortSignal;
  onProgress?: (completed: number, total: number) => void;
}

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
  try {
    const hashed = await bringIn(context, source, temporary, Number(stats.size), options);
    const { digest, size } = hashed;
    await publishBlob(context, blobs, temporary, { digest, size }, hashed.identity);
    return { digest, size };
  } finally {
    await temporaries.remove(temporary);
  }
}

async function bringIn(
  { fs, now, paths }: StoreContext,
  source: string,
  target: string,
  size: number,
  options: ImportOptions,
): Promise<HashedFile> {
  const hashing = { signal: options.signal, onProgress: options.onProgress, now };
  await removeFile(fs, target);
  const isThere =
    (await isPossible(fs.clone(source, target))) ||
    (options.copy !== true && (await isPossible(fs.link(source, target))));
  if (!isThere) {
    await removeFile(fs, target);
    await requireSpace(fs, paths.root, size);
    return copyFile(fs, source, target, hashing);
  }
  const hashed = await hashInWorker(fs, target, hashing);
  if (hashed.identity !== undefined) return hashed;
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
