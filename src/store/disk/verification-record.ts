import { join } from "node:path";
import { type Digest, hexOf } from "../digest.ts";
import { claimSuffix } from "./claims.ts";
import { readSmallFile, removeFile, syncFolder, writeNewFile } from "./durable-files.ts";
import type { FileStats } from "./file-system.ts";
import type { StoreContext } from "./store-context.ts";
import { TEMPORARY } from "./temporary-files.ts";

/** What tells one state of a file from another without reading it. Decimal digits. */
export interface FileIdentity {
  readonly size: string;
  readonly inode: string;
  readonly device: string;
  readonly modifiedNs: string;
  /** Changes with every write, also where somebody sets the modification time back. */
  readonly changedNs: string;
}

export function identityOf({ size, ino, dev, mtimeNs, ctimeNs }: FileStats): FileIdentity {
  return {
    size: String(size),
    inode: String(ino),
    device: String(dev),
    modifiedNs: String(mtimeNs),
    changedNs: String(ctimeNs),
  };
}

export function isSameFile(one: FileIdentity, other: FileIdentity): boolean {
  return FIELDS.every((field) => one[field] === other[field]);
}

const FIELDS = [
  "size",
  "inode",
  "device",
  "modifiedNs",
  "changedNs",
] as const satisfies readonly (keyof FileIdentity)[];
const MOST_BYTES = 4096;

/** Who was verified, and in which state: `verified/<hex>`. A record that cannot be read says nothing. */
export class VerificationRecords {
  readonly #context: StoreContext;
  readonly #remembered = new Map<Digest, FileIdentity>();

  constructor(context: StoreContext) {
    this.#context = context;
  }

  async read(digest: Digest): Promise<FileIdentity | undefined> {
    const path = this.#path(digest);
    if (path === undefined) return this.#remembered.get(digest);
    const bytes = await readSmallFile(this.#context.fs, path, MOST_BYTES).catch(() => undefined);
    return (bytes && parseRecord(bytes)) ?? this.#remembered.get(digest);
  }

  /** Never fails: without a record the blob is hashed again, which is slow and not wrong. */
  async write(digest: Digest, identity: FileIdentity): Promise<void> {
    this.#remembered.set(digest, identity);
    const path = this.#path(digest);
    if (path === undefined) return;
    await this.#write(path, identity).then(
      () => this.#remembered.delete(digest),
      () => {},
    );
  }

  async remove(digest: Digest): Promise<void> {
    this.#remembered.delete(digest);
    const path = this.#path(digest);
    if (path !== undefined) await removeFile(this.#context.fs, path);
  }

  #path(digest: Digest): string | undefined {
    return this.#context.records === undefined ? undefined : join(this.#context.records, hexOf(digest));
  }

  async #write(path: string, identity: FileIdentity): Promise<void> {
    const { fs, records = "" } = this.#context;
    const text = JSON.stringify({ version: 1, ...identity });
    // Beside it: the folder may be on a disk of its own. Whose process dies is removed by a prune.
    const temporary = join(records, `${TEMPORARY}.${claimSuffix()}`);
    try {
      await writeNewFile(fs, temporary, new TextEncoder().encode(text));
      await fs.rename(temporary, path);
    } catch (error) {
      await removeFile(fs, temporary).catch(() => {});
      throw error;
    }
    await syncFolder(fs, records);
  }
}

function parseRecord(bytes: Uint8Array): FileIdentity | undefined {
  try {
    const record: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isIdentity(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isIdentity(record: unknown): record is FileIdentity {
  if (typeof record !== "object" || record === null) return false;
  const fields = record as Record<string, unknown>;
  return fields["version"] === 1 && FIELDS.every((field) => typeof fields[field] === "string");
}
