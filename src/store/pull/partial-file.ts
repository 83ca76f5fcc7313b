import { constants } from "node:fs";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../digest.ts";
import { makeFolder, removeFile, syncFolder } from "../disk/durable-files.ts";
import { fileSystem, ifThere } from "../disk/file-system.ts";
import { storeError } from "../disk/store-error.ts";
import type { StorePaths } from "../store-paths.ts";
import { type Extent, ExtentSet } from "./extents.ts";
import { digestLine, extentLine, headerLine, type Journal, parseJournal } from "./journal.ts";

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR, O_WRONLY } = constants;

/** So much is written before it is synced; a sync of more would hold up the end of an aborted download. */
const SYNC_BYTES = 64 * 1024 * 1024;
/** And no longer than this: what a dying process or a power cut loses. */
const SYNC_MS = 500;
const MOST_JOURNAL_BYTES = 64 * 1024 * 1024;

type OpenFile = (path: string, flags: number, mode?: number) => Promise<FileHandle>;

/**
 * An unfinished download: `partial/<name>.data`, with holes where nothing came yet, and `partial/<name>.journal`, which
 * lists what was written and synced: the disk never lacks what the journal claims. Whoever opens one is its only user.
 *
 * Every method throws `insufficient_storage` or `store_unavailable`.
 */
export class PartialFile {
  readonly path: string;
  readonly size: number;
  /** What is in the file, synced or not. Claims of an earlier process are unproven until they were read again. */
  readonly extents: ExtentSet;
  readonly #root: string;
  readonly #data: FileHandle;
  readonly #journal: FileHandle | undefined;
  #unsynced: Extent[] = [];
  #unsyncedBytes = 0;
  #syncing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;

  private constructor(
    place: { path: string; root: string; size: number },
    handles: { data: FileHandle; journal: FileHandle | undefined },
    extents: ExtentSet,
  ) {
    this.path = place.path;
    this.size = place.size;
    this.#root = place.root;
    this.#data = handles.data;
    this.#journal = handles.journal;
    this.extents = extents;
  }

  /**
   * Goes on with what is there under that name, if it is the beginning of a file of that size.
   *
   * @param openFile a test's own
   */
  static async open(
    paths: StorePaths,
    name: string,
    size: number,
    openFile: OpenFile = open,
  ): Promise<PartialFile> {
    const path = dataPath(paths, name);
    try {
      await makeFolder(fileSystem, paths.partial);
      const known = await readJournal(paths, name);
      const there = (await ifThere(stat(path)))?.size === size;
      const extents = there && known?.size === size ? known.extents : new ExtentSet();
      const data = await openFile(path, O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0), 0o644);
      try {
        await data.truncate(size);
        const header = extents.bytes > 0 ? undefined : headerLine(size, name);
        const journal = await openJournal(journalPath(paths, name), header, openFile);
        await syncFolder(fileSystem, paths.partial);
        return new PartialFile({ path, root: paths.root, size }, { data, journal }, extents);
      } catch (error) {
        await data.close().catch(() => {});
        throw error;
      }
    } catch (error) {
      throw storeError(error, paths.root);
    }
  }

  /** A file that nobody goes on with: without a journal. */
  static async temporary(path: string, root: string, size: number): Promise<PartialFile> {
    try {
      const data = await open(path, O_RDWR | (O_NOFOLLOW ?? 0));
      await data.truncate(size);
      return new PartialFile({ path, root, size }, { data, journal: undefined }, new ExtentSet());
    } catch (error) {
      throw storeError(error, root);
    }
  }

  /** @param chunks (n,) uint8 each: they follow each other, from `position` on */
  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.#throwFailure();
    try {
      let rest = chunks;
      for (let at = position; rest.length > 0;) {
        const { bytesWritten } = await this.#data.writev(rest as Uint8Array[], at);
        at += bytesWritten;
        rest = without(rest, bytesWritten);
      }
    } catch (error) {
      throw storeError(error, this.#root);
    }
  }

  /** Its bytes are written. The journal has it a moment later, when they are synced. */
  add(extent: Extent): void {
    this.extents.add(extent);
    if (this.#journal === undefined) return;
    this.#unsynced.push(extent);
    this.#unsyncedBytes += extent.length;
    if (this.#unsyncedBytes >= SYNC_BYTES) this.#syncInBackground();
    else this.#timer ??= setTimeout(() => this.#syncInBackground(), SYNC_MS);
  }

  /** What the file holds there is not what came. */
  drop(extent: Extent): void {
    this.extents.remove(extent);
    this.#unsynced = this.#unsynced.filter((other) => other !== extent);
  }

  /** All that was added is on the disk and in the journal afterwards. */
  async sync(): Promise<void> {
    this.#syncInBackground();
    await this.#syncing;
    this.#throwFailure();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#syncing;
    await this.#data.close().catch(() => {});
    await this.#journal?.close().catch(() => {});
  }

  #syncInBackground(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#syncing = this.#syncing
      .then(() => this.#syncNow())
      .catch((error: unknown) => {
        this.#failure ??= error;
      });
  }

  async #syncNow(): Promise<void> {
    // After a sync that failed the kernel may say of lost bytes that they are written: none is claimed any more.
    if (this.#failure !== undefined || this.#unsynced.length === 0) return;
    const extents = this.#unsynced;
    this.#unsynced = [];
    this.#unsyncedBytes = 0;
    await this.#data.datasync();
    await this.#journal?.appendFile(extents.map(extentLine).join(""));
    await this.#journal?.datasync();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw storeError(this.#failure, this.#root);
  }
}

/** Undefined: nothing, or nothing that can be used. */
export async function readJournal(paths: StorePaths, name: string): Promise<Journal | undefined> {
  const path = journalPath(paths, name);
  try {
    const size = (await ifThere(stat(path)))?.size ?? 0;
    if (size === 0 || size > MOST_JOURNAL_BYTES) return undefined;
    const journal = parseJournal(await readFile(path));
    return journal?.name === name ? journal : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes that a partial download says it has. */
export async function heldBytes(paths: StorePaths, name: string): Promise<number> {
  const journal = await readJournal(paths, name);
  if (journal === undefined) return 0;
  const there = await stat(dataPath(paths, name)).catch(() => undefined);
  return there?.size === journal.size ? journal.extents.bytes : 0;
}

/** Nothing is left of it. */
export async function discardPartial(paths: StorePaths, name: string): Promise<void> {
  try {
    // The claims first: without them nobody trusts the data.
    await removeFile(fileSystem, journalPath(paths, name));
    await removeFile(fileSystem, dataPath(paths, name));
  } catch (error) {
    throw storeError(error, paths.root);
  }
}

/** The download is over, and what nobody had a digest for has one. */
export async function concludeJournal(
  paths: StorePaths,
  name: string,
  size: number,
  digest: Digest,
): Promise<void> {
  const journal = await openJournal(journalPath(paths, name), headerLine(size, name), open);
  try {
    await journal.appendFile(digestLine(digest));
    await journal.datasync();
  } finally {
    await journal.close().catch(() => {});
  }
}

/** @param header of a new journal; undefined: of one that is gone on with */
async function openJournal(
  path: string,
  header: string | undefined,
  openFile: OpenFile,
): Promise<FileHandle> {
  const journal = await openFile(path, O_WRONLY | O_CREAT | O_APPEND | (O_NOFOLLOW ?? 0), 0o644);
  try {
    if (header !== undefined) await journal.truncate(0);
    // The last line of an old one may be torn: the next must not become part of it.
    await journal.appendFile(header ?? "\n");
    await journal.datasync();
    return journal;
  } catch (error) {
    await journal.close().catch(() => {});
    throw error;
  }
}

function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  for (const [index, chunk] of chunks.entries()) {
    if (left < chunk.length) return [chunk.subarray(left), ...chunks.slice(index + 1)];
    left -= chunk.length;
  }
  return [];
}

function dataPath(paths: StorePaths, name: string): string {
  return join(paths.partial, `${name}.data`);
}

function journalPath(paths: StorePaths, name: string): string {
  return join(paths.partial, `${name}.journal`);
}
