import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { type Digest, shortDigest } from "../digest.ts";
import type { Blob, BlobFiles } from "./blob-files.ts";
import { claimSuffix } from "./claims.ts";
import { copyFile } from "./copy-file.ts";
import { isOtherDisk, removeFile, syncFile, syncFolder } from "./durable-files.ts";
import { changeStore, requireWritable, type StoreContext } from "./store-context.ts";
import { type FileIdentity, identityOf, isSameFile } from "./verification-record.ts";

/** Files that come from another disk than that of their folder, and have no name yet. */
export const ARRIVING = "mull-arriving";

/**
 * Gives a file in `partial/` its name. Its bytes were hashed by the caller; they are on the disk before the name is.
 * The file is gone afterwards, and where its bytes cannot be trusted any more. Else it stays when this fails.
 *
 * @param hashed the file when it was hashed, where others may write to it
 */
export async function publishBlob(
  context: StoreContext,
  blobs: BlobFiles,
  path: string,
  blob: Blob,
  hashed?: FileIdentity,
): Promise<void> {
  requireWritable(context);
  await prepare(context, path, blob);
  try {
    await giveName(context, blobs, path, blob, hashed);
  } catch (error) {
    if (!isOtherDisk(error)) throw error;
    await publishCopy(context, blobs, path, blob);
  }
  await context.temporaries.remove(path);
}

/** Once a sync has failed the kernel may have dropped the bytes: such a file is never synced again, but removed. */
async function prepare(
  { fs, temporaries }: StoreContext,
  path: string,
  { digest, size }: Blob,
): Promise<void> {
  const stats = await fs.stat(path);
  try {
    if (stats.size !== BigInt(size)) throw changedError(path, digest);
    await syncFile(fs, path);
  } catch (error) {
    await temporaries.remove(path);
    throw error;
  }
}

async function giveName(
  context: StoreContext,
  blobs: BlobFiles,
  path: string,
  blob: Blob,
  hashed: FileIdentity | undefined,
): Promise<void> {
  const { folders, fs, paths } = context;
  await changeStore(context, async (confirm) => {
    if ((await blobs.state(blob)) === "intact") return;
    await folders.ensure(paths.blobs);
    const place = paths.blob(blob.digest);
    const before = identityOf(await fs.stat(path));
    if (hashed !== undefined && !isSameFile(hashed, before)) throw changedError(path, blob.digest);
    await confirm();
    await fs.rename(path, place);
    try {
      await syncFolder(fs, paths.blobs);
    } catch (error) {
      // The name may not be on the disk: nothing may be built upon it.
      await fs.rename(place, path).catch(() => removeFile(fs, place));
      throw error;
    }
    await recordBlob(context, blobs, path, blob.digest, before);
  });
}

async function recordBlob(
  { fs, paths }: StoreContext,
  blobs: BlobFiles,
  path: string,
  digest: Digest,
  before: FileIdentity,
): Promise<void> {
  const place = paths.blob(digest);
  // Where both were links to one file, renaming has done nothing. One link less is a change of the file, too.
  await removeFile(fs, path);
  const after = identityOf(await fs.stat(place));
  if (!isUntouched(before, after)) {
    await removeFile(fs, place);
    throw changedError(path, digest);
  }
  await blobs.records.write(digest, after);
}

/** Where `blobs/` is on another disk than `partial/`. */
async function publishCopy(context: StoreContext, blobs: BlobFiles, path: string, blob: Blob): Promise<void> {
  const { claims, folders, fs, paths } = context;
  const name = `${ARRIVING}.${claimSuffix()}`;
  const arriving = join(paths.blobs, name);
  await claims.hold(name);
  try {
    await folders.ensure(paths.blobs);
    const copied = await copyFile(fs, path, arriving);
    if (copied.digest !== blob.digest) throw changedError(path, blob.digest);
    await giveName(context, blobs, arriving, blob, copied.identity);
  } finally {
    await removeFile(fs, arriving).catch(() => {});
    await claims.drop(name);
  }
}

/** A name changes the time of the file's last change, and nothing else does. */
function isUntouched(before: FileIdentity, after: FileIdentity): boolean {
  return isSameFile({ ...before, changedNs: "" }, { ...after, changedNs: "" });
}

function changedError(path: string, digest: Digest): MullError {
  return new MullError("digest_mismatch", `${path} is not, or not any more, ${shortDigest(digest)}.`, {
    hint: "Wait until nobody else writes to it, and repeat.",
    details: { digest },
  });
}
