import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { newStoreRoot } from "../../../test/support/new-store.ts";
import { testBytes } from "../../../test/support/range-server.ts";
import { storePaths } from "../store-paths.ts";
import { ExtentWriter } from "./extent-writer.ts";
import type { Extent } from "./extents.ts";
import { parseJournal } from "./journal.ts";
import { discardPartial, heldBytes, PartialFile, readJournal } from "./partial-file.ts";

const NAME = "cd".repeat(32);
const BYTES = testBytes(3_000_000);

let paths: ReturnType<typeof storePaths>;
beforeEach(() => {
  paths = storePaths(newStoreRoot());
});

/** A disk that forgets what was not synced when the power goes. */
class ForgetfulDisk {
  /** What is on it for good. */
  readonly data: Buffer = Buffer.alloc(BYTES.length);
  journal = "";
  syncError: Error | undefined;
  #written: { bytes: Buffer; position: number }[] = [];
  #appended = "";

  readonly open = async (path: string, flags: number, mode?: number): Promise<FileHandle> => {
    const handle = await open(path, flags, mode);
    const changed: Partial<FileHandle> = path.endsWith(".data")
      ? { writev: this.#writev(handle), datasync: this.#syncData }
      : { appendFile: this.#append, datasync: this.#syncJournal };
    return Object.assign(handle, changed);
  };

  #writev(handle: FileHandle): FileHandle["writev"] {
    const real = handle.writev.bind(handle);
    return async (chunks, position) => {
      const result = await real(chunks, position);
      const bytes = Buffer.concat(chunks as readonly ArrayBufferView[] as readonly Uint8Array[]);
      this.#written.push({ bytes, position: position as number });
      return result;
    };
  }

  readonly #syncData = async (): Promise<void> => {
    // What is written while it syncs may be lost.
    const written = this.#written.splice(0);
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.syncError !== undefined) throw this.syncError;
    for (const { bytes, position } of written) bytes.copy(this.data, position);
  };

  readonly #append = async (text: unknown): Promise<void> => {
    this.#appended += String(text);
  };

  readonly #syncJournal = async (): Promise<void> => {
    this.journal += this.#appended;
    this.#appended = "";
  };

  /** What the journal would claim after a power cut now: it may have reached the disk before it was synced. */
  claimed(): { extent: Extent; holds: boolean }[] {
    const journal = parseJournal(Buffer.from(this.journal + this.#appended, "latin1"));
    const extents: Extent[] = [];
    let end = 0;
    for (const gap of [...(journal?.extents.gaps(BYTES.length) ?? []), { start: 0, end: 0 }]) {
      extents.push(...(journal?.extents.from(end, BYTES.length) ?? []));
      end = gap.end;
    }
    return extents.map((extent) => {
      const bytes = this.data.subarray(extent.offset, extent.offset + extent.length);
      return { extent, holds: crc32(bytes) === extent.checksum };
    });
  }
}

describe("PartialFile", () => {
  it("claims nothing that a power cut could take", async () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 200_000 }), fc.nat(2)), {
      minLength: 1,
      maxLength: 15,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (parts) => {
        const disk = new ForgetfulDisk();
        const partial = await PartialFile.open(paths, NAME, BYTES.length, disk.open);
        const expectTruth = (): void => {
          expect(disk.claimed().filter(({ holds }) => !holds)).toEqual([]);
        };
        let offset = 0;
        for (const [length, action] of parts) {
          const writer = new ExtentWriter(partial, offset, (extent) => partial.add(extent));
          const bytes = BYTES.subarray(offset, offset + length);
          for (let at = 0; at < bytes.length; at += 50_000) {
            await writer.push(bytes.subarray(at, at + 50_000));
            expectTruth();
          }
          await writer.finish();
          expectTruth();
          if (action === 1) await partial.sync();
          if (action === 2) void partial.sync();
          expectTruth();
          offset += bytes.length;
        }
        await partial.sync();
        await partial.close();
        const claimed = disk.claimed();
        expect(claimed.reduce((sum, { extent }) => sum + extent.length, 0)).toBe(offset);
        expectTruth();
        await discardPartial(paths, NAME);
      }),
      { numRuns: 30 },
    );
  });

  it("claims nothing any more once a sync has failed", async () => {
    const disk = new ForgetfulDisk();
    const partial = await PartialFile.open(paths, NAME, BYTES.length, disk.open);
    const write = async (offset: number): Promise<void> => {
      const writer = new ExtentWriter(partial, offset, (extent) => partial.add(extent));
      await writer.push(BYTES.subarray(offset, offset + 1000));
      await writer.finish();
    };
    await write(0);
    await partial.sync();
    disk.syncError = Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
    await write(1000);
    await expect(partial.sync()).rejects.toMatchObject({ code: "store_unavailable" });
    disk.syncError = undefined;
    // The kernel calls the lost pages clean now: another sync would succeed, and mean nothing.
    await expect(write(2000)).rejects.toMatchObject({ code: "store_unavailable" });
    await expect(partial.sync()).rejects.toMatchObject({ code: "store_unavailable" });
    await partial.close();
    expect(disk.claimed().map(({ extent }) => extent.offset)).toEqual([0]);
  });

  it("goes on with its own, and not with a file of another size", async () => {
    const first = await PartialFile.open(paths, NAME, BYTES.length);
    await first.write([BYTES.subarray(0, 7)], 0);
    first.add({ offset: 0, length: 7, checksum: crc32(BYTES.subarray(0, 7)) });
    await first.sync();
    await first.close();
    expect(await heldBytes(paths, NAME)).toBe(7);
    const second = await PartialFile.open(paths, NAME, BYTES.length);
    expect(second.extents.bytes).toBe(7);
    await second.close();
    const other = await PartialFile.open(paths, NAME, 5);
    expect(other.extents.bytes).toBe(0);
    await other.close();
    expect((await readJournal(paths, NAME))?.size).toBe(5);
  });

  it("says that the store cannot be written to", async () => {
    const file = join(paths.root, "file");
    await (await open(file, "w")).close();
    const opened = PartialFile.open(storePaths(join(file, "store")), NAME, 5);
    await expect(opened).rejects.toMatchObject({ code: "store_unavailable" });
  });
});
