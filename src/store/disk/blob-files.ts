import type { BigIntStats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { type Digest, shortDigest } from "../digest.ts";
import type { BlobState } from "../model-store.ts";
import { claimSuffix } from "./claims.ts";
import { copyFile } from "./copy-file.ts";
import { isOtherDisk, READ_FILE, removeFile, syncFolder } from "./durable-files.ts";
import { ifThere } from "./file-system.ts";
import { hashInWorker } from "./hash-in-worker.ts";
import { changeStore, requireWritable, type StoreContext } from "./store-context.ts";
import { TurnQueue } from "./turn-queue.ts";
import { identityOf, isSameFile, type FileIdentity, VerificationRecords } from "./verification-record.ts";

export interface Blob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

export type Rehashed =
  | { state: "intact"; size: number }
  | { state: "damaged" }
  | { state: "absent" }
  /** Somebody writes to it all the time. */
  | { state: "changing" };

/** Files in `blobs/` that were not given their name yet: copied from a disk that is not the store's. */
export const ARRIVING = "mull-arriving";

/** Somebody who writes to a blob while it is hashed is not waited for longer. */
const MOST_HASHINGS = 3;

/** The files of `blobs/` and the records of their verification. */
export class BlobFiles {
  readonly records: VerificationRecords;
  readonly #context: StoreContext;
  readonly #turns = new TurnQueue();

  constructor(context: StoreContext) {
    this.#context = context;
    this.records = new VerificationRecords(context);
  }

  async stats(digest: Digest): Promise<BigIntStats | undefined> {
    const stats = await ifThere(this.#context.fs.stat(this.#context.paths.blob(digest)));
    return stats?.isFile() ? stats : undefined;
  }

  async state({ digest, size }: Blob): Promise<BlobState> {
    const stats = await this.stats(digest);
    if (stats === undefined) return "absent";
    if (stats.size !== BigInt(size)) return "wrong-size";
    const record = await this.records.read(digest);
    return record !== undefined && isSameFile(record, identityOf(stats)) ? "intact" : "unverified";
  }

  /** Whether it is there, has that size, and has the content that its name says. Hashes what nothing vouches for. */
  check(blob: Blob, signal?: AbortSignal): Promise<boolean> {
    return this.#turns.run(
      blob.digest,
      async () => {
        const state = await this.state(blob);
        if (state === "intact" || state === "absent") return state === "intact";
        const rehashed = await this.rehash(blob.digest, signal);
        return rehashed.state === "intact" && rehashed.size === blob.size;
      },
      signal,
    );
  }

  /** Hashes a blob whatever its record says; one that differs is moved away, where the store is written to. */
  async rehash(digest: Digest, signal?: AbortSignal): Promise<Rehashed> {
    const { fs, paths, now } = this.#context;
    for (let hashings = 0; hashings < MOST_HASHINGS; hashings++) {
      const hashed = await ifThere(hashInWorker(fs, paths.blob(digest), { signal, now }));
      if (hashed === undefined) return { state: "absent" };
      if (hashed.identity === undefined) continue;
      if (hashed.digest !== digest) {
        await this.#moveAway(digest, hashed.identity);
        return { state: "damaged" };
      }
      await this.makeDurable([digest]);
      await this.records.write(digest, hashed.identity);
      return { state: "intact", size: hashed.size };
    }
    return { state: "changing" };
  }

  /**
   * Gives a file in `partial/` its name. Its bytes were hashed by the caller; they are on the disk before the name is.
   * The file is gone afterwards, whatever happens.
   */
  async publish(path: string, blob: Blob): Promise<void> {
    const { folders, paths, temporaries } = this.#context;
    requireWritable(this.#context);
    try {
      await this.#sync(path, blob);
      await changeStore(this.#context, async () => {
        if ((await this.state(blob)) === "intact") return;
        await folders.ensure(paths.blobs);
        await this.#giveName(path, blob.digest);
      });
    } finally {
      await temporaries.remove(path);
    }
  }

  /** Whoever wrote it (Ollama, or a process that died) may not have synced it. Anything may build upon it afterwards. */
  async makeDurable(digests: readonly Digest[]): Promise<void> {
    const { fs, folders, paths, readOnly } = this.#context;
    if (readOnly || digests.length === 0) return;
    for (const digest of digests) {
      const file = await fs.open(paths.blob(digest), READ_FILE);
      try {
        await file.sync();
      } finally {
        await file.close().catch(() => {});
      }
    }
    await folders.ensure(paths.blobs);
    await syncFolder(fs, paths.blobs);
  }

  /** Once a sync has failed the kernel may have dropped the bytes: such a file is never synced again, but removed. */
  async #sync(path: string, { digest, size }: Blob): Promise<void> {
    const file = await this.#context.fs.open(path, READ_FILE);
    try {
      const stats = await file.stat();
      if (stats.size !== BigInt(size)) {
        throw new MullError(
          "digest_mismatch",
          `${shortDigest(digest)} should have ${size} bytes and has ${stats.size}.`,
          { hint: "Repeat the download." },
        );
      }
      await file.sync();
    } finally {
      await file.close().catch(() => {});
    }
  }

  async #giveName(path: string, digest: Digest): Promise<void> {
    const { fs, paths } = this.#context;
    const place = paths.blob(digest);
    await this.records.remove(digest);
    const before = await this.#rename(path, place, digest);
    try {
      // Where both are links to one file, renaming does nothing.
      await removeFile(fs, path);
      await syncFolder(fs, paths.blobs);
      const after = await fs.stat(place);
      if (!isUntouched(before, identityOf(after))) throw changedError(path, digest);
      await this.records.write(digest, identityOf(after));
    } catch (error) {
      await removeFile(fs, place).catch(() => {});
      throw error;
    }
  }

  /** @returns the identity of the file before it had its name */
  async #rename(path: string, place: string, digest: Digest): Promise<FileIdentity> {
    const { fs } = this.#context;
    const before = identityOf(await fs.stat(path));
    try {
      await fs.rename(path, place);
      return before;
    } catch (error) {
      if (!isOtherDisk(error)) throw error;
    }
    const arriving = join(dirname(place), `${ARRIVING}.${claimSuffix()}`);
    try {
      const copied = await copyFile(fs, path, arriving);
      if (copied.digest !== digest) throw changedError(path, digest);
      const identity = identityOf(await fs.stat(arriving));
      await fs.rename(arriving, place);
      return identity;
    } finally {
      await removeFile(fs, arriving).catch(() => {});
    }
  }

  /** Out of the way of whoever looks for that name. Only the file that was hashed: there may be a good one by now. */
  async #moveAway(digest: Digest, hashed: FileIdentity): Promise<void> {
    if (this.#context.readOnly) return;
    const { folders, fs, paths } = this.#context;
    await changeStore(this.#context, async () => {
      const stats = await this.stats(digest);
      if (stats === undefined || !isSameFile(identityOf(stats), hashed)) return;
      await this.records.remove(digest);
      await folders.ensure(paths.damaged);
      await fs.rename(
        paths.blob(digest),
        join(paths.damaged, `${basename(paths.blob(digest))}.${claimSuffix()}`),
      );
      await syncFolder(fs, paths.blobs);
    });
  }

  /** Its record goes first: a record without a blob could vouch for another. @returns bytes that are free now */
  async remove(digest: Digest): Promise<number> {
    const { fs, paths } = this.#context;
    const stats = await ifThere(fs.lstat(paths.blob(digest)));
    await this.records.remove(digest);
    if (stats === undefined || !(await removeFile(fs, paths.blob(digest)))) return 0;
    return stats.isFile() && stats.nlink === 1n ? Number(stats.size) : 0;
  }
}

/** The name changes the time of the inode's last change, and nothing else does. */
function isUntouched(before: FileIdentity, after: FileIdentity): boolean {
  return isSameFile({ ...before, changedNs: "" }, { ...after, changedNs: "" });
}

function changedError(path: string, digest: Digest): MullError {
  return new MullError("digest_mismatch", `${path} was changed while it became ${shortDigest(digest)}.`, {
    hint: "Wait until nobody writes to it, and repeat.",
  });
}
