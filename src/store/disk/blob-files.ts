import { join } from "node:path";
import { type Digest, hexOf } from "../digest.ts";
import type { BlobState } from "../model-store.ts";
import { claimSuffix } from "./claims.ts";
import { isOtherDisk, removeFile, syncFile, syncFolder } from "./durable-files.ts";
import { type FileStats, ifThere, unlessRefused } from "./file-system.ts";
import type { HashOptions } from "./hash-file.ts";
import { hashInWorker } from "./hash-in-worker.ts";
import { changeStore, type StoreContext } from "./store-context.ts";
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

/** How files begin that have lost their name: in `damaged/`, or in `blobs/` where that is another disk. */
export const DAMAGED = "mull-damaged";

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

  async stats(digest: Digest): Promise<FileStats | undefined> {
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
        const rehashed = await this.rehash(blob.digest, { signal });
        return rehashed.state === "intact" && rehashed.size === blob.size;
      },
      signal,
    );
  }

  /** Hashes a blob whatever its record says; one that differs is moved away, where the store is written to. */
  async rehash(digest: Digest, options: Omit<HashOptions, "now"> = {}): Promise<Rehashed> {
    const { fs, paths, now } = this.#context;
    for (let hashings = 0; hashings < MOST_HASHINGS; hashings++) {
      const hashed = await ifThere(hashInWorker(fs, paths.blob(digest), { ...options, now }));
      if (hashed === undefined) return { state: "absent" };
      if (hashed.identity === undefined) continue;
      if (hashed.digest !== digest) {
        await unlessRefused(this.#moveAway(digest, hashed.identity));
        return { state: "damaged" };
      }
      await this.makeDurable([digest]);
      await this.records.write(digest, hashed.identity);
      return { state: "intact", size: hashed.size };
    }
    return { state: "changing" };
  }

  /** Whoever wrote it (Ollama, or a process that died) may not have synced it. Anything may build upon it afterwards. */
  async makeDurable(digests: readonly Digest[]): Promise<void> {
    const { fs, folders, paths, readOnly } = this.#context;
    if (readOnly || digests.length === 0) return;
    for (const digest of digests) await syncFile(fs, paths.blob(digest));
    // Where nothing may be written, nothing can be built upon it either.
    await unlessRefused(folders.ensure(paths.blobs).then(() => syncFolder(fs, paths.blobs)));
  }

  /** Out of the way of whoever looks for that name. Only the file that was hashed: there may be a good one by now. */
  async #moveAway(digest: Digest, hashed: FileIdentity): Promise<void> {
    if (this.#context.readOnly) return;
    const { folders, fs, paths } = this.#context;
    await changeStore(this.#context, async () => {
      const path = paths.blob(digest);
      const stats = await this.stats(digest);
      if (stats === undefined || !isSameFile(identityOf(stats), hashed)) return;
      await this.records.remove(digest);
      await folders.ensure(paths.damaged);
      const name = `${DAMAGED}.${hexOf(digest)}.${claimSuffix()}`;
      try {
        await fs.rename(path, join(paths.damaged, name));
      } catch (error) {
        if (!isOtherDisk(error)) throw error;
        await fs.rename(path, join(paths.blobs, name));
      }
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
