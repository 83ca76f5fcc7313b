import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EntryKind } from "../../src/cache/cache-directory.ts";
import { type CacheKey, hashFields } from "../../src/cache/cache-key.ts";
import { DiskCache, type DiskCacheOptions } from "../../src/cache/disk-cache.ts";

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mull-cache-"));
  folders.push(folder);
  return folder;
}

/** Call it after all tests of a file. */
export function removeTemporaryFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function openDiskCache(directory: string, options: Partial<DiskCacheOptions> = {}): DiskCache {
  return new DiskCache({ directory, limitBytes: 1e9, ...options });
}

export function keyOf(number: number): CacheKey {
  return hashFields("test", number);
}

/** The bytes that belong under a key, so that any other process can say whether it got the right ones. */
export function payloadOf(number: number, length = 64): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (number * 31 + index * 7) & 0xff);
}

export function run<Result>(steps: Generator<void, Result, undefined>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** @returns whether the entry was written */
export function put(
  cache: DiskCache,
  number: number,
  length?: number,
  kind: EntryKind = "snapshot",
): boolean {
  return run(cache.put(kind, keyOf(number), payloadOf(number, length), JSON.stringify({ number })));
}

export function get(cache: DiskCache, number: number, kind: EntryKind = "snapshot"): Uint8Array | undefined {
  const entry = cache.get(kind, keyOf(number));
  return entry && new Uint8Array(entry.payload);
}
