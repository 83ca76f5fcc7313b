import { createHash } from "node:crypto";
import { appendFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  openDiskCache,
  removeTemporaryFolders,
  run,
  temporaryFolder,
} from "../../test/support/cache-entries.ts";
import { watchedFileSystem } from "../../test/support/watched-file-system.ts";
import type { DiskCache } from "./disk-cache.ts";
import { fileDigest } from "./file-digest.ts";

const folder = temporaryFolder();
const file = join(folder, "model.gguf");
/** As if the file had been lying there for a while. */
const later = (): number => Date.now() + 60_000;
afterAll(removeTemporaryFolders);

let bytesRead = 0;
const fs = watchedFileSystem((name) =>
  name === "readSync" ? (count) => void (bytesRead += count as number) : undefined,
);

function digest(cache: DiskCache, path: string = file, now: number = later()): string {
  return run(fileDigest(fs, cache, path, now));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("fileDigest", () => {
  beforeAll(() => writeFileSync(file, "weights"));

  it("is the SHA-256 of the file, of any length", () => {
    const lengths = fc.oneof(fc.nat(1000), fc.constantFrom(0, 4 * 1024 * 1024, 9 * 1024 * 1024 + 1));
    fc.assert(
      fc.property(lengths, (length) => {
        const bytes = Buffer.alloc(length, length);
        const path = join(folder, "any");
        writeFileSync(path, bytes);
        expect(digest(openDiskCache(temporaryFolder()), path)).toBe(sha256(bytes));
      }),
      { numRuns: 10 },
    );
  });

  it("reads a file once, also for the next process", () => {
    const directory = temporaryFolder();
    bytesRead = 0;
    for (let time = 0; time < 3; time++) {
      expect(digest(openDiskCache(directory))).toBe(sha256(Buffer.from("weights")));
    }
    expect(bytesRead).toBe(7);
  });

  it("reads it again after a change, also one that keeps size and time", () => {
    const cache = openDiskCache(temporaryFolder());
    const { atime, mtime } = statSync(file);
    const before = digest(cache);
    writeFileSync(file, "WEIGHTS");
    utimesSync(file, atime, mtime);
    expect(digest(cache)).toBe(sha256(Buffer.from("WEIGHTS")));
    writeFileSync(file, "weights");
    expect(digest(cache)).toBe(before);
  });

  it("does not remember a file that was changed just now: it could change again unseen", () => {
    const cache = openDiskCache(temporaryFolder());
    writeFileSync(file, "weights");
    digest(cache, file, Date.now());
    expect([...cache.list()]).toEqual([]);
    digest(cache);
    expect([...cache.list()]).toHaveLength(1);
  });

  it("does not remember a file that changes while it is read", () => {
    const cache = openDiskCache(temporaryFolder());
    const path = join(folder, "growing");
    writeFileSync(path, "a");
    const steps = fileDigest(fs, cache, path, later());
    steps.next();
    appendFileSync(path, "b");
    while (steps.next().done !== true);
    expect([...cache.list()]).toEqual([]);
  });

  it("does not believe what was remembered and is damaged", () => {
    const directory = temporaryFolder();
    const cache = openDiskCache(directory);
    digest(cache);
    const [entry] = cache.list();
    const path = entry?.path ?? "";
    const size = entry?.bytes ?? 0;
    writeFileSync(path, Buffer.alloc(size, 7));
    expect(digest(openDiskCache(directory))).toBe(sha256(Buffer.from("weights")));
  });

  it("follows a link to the file that it names", () => {
    const link = join(folder, "link.gguf");
    symlinkSync(file, link);
    expect(digest(openDiskCache(temporaryFolder()), link)).toBe(sha256(Buffer.from("weights")));
  });

  it.each([
    ["missing.gguf", "does not exist"],
    ["", "is no file"],
  ])("says what is wrong with %j", (name, message) => {
    const cache = openDiskCache(temporaryFolder());
    expect(() => digest(cache, join(folder, name))).toThrow(
      expect.objectContaining({ code: "model_not_found", message: expect.stringContaining(message) }),
    );
  });
});
