import { existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EntryKind } from "../../src/cache/cache-directory.ts";
import { type CacheKey, hashFields } from "../../src/cache/cache-key.ts";
import { DiskCache, type DiskCacheOptions } from "../../src/cache/disk-cache.ts";

const folders: string[] = [];

/** In memory, where there is room: the tests write thousands of times, and would wait for the disk each time. */
const PARENT = existsSync("/dev/shm") && freeBytes("/dev/shm") > 2e9 ? "/dev/shm" : tmpdir();

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(PARENT, "mull-cache-"));
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
  const payload = new Uint8Array(length);
  for (let index = 0; index < length; index++) payload[index] = number * 31 + index * 7;
  return payload;
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

/** Whether the cache gives the right bytes for a number. */
export function holds(cache: DiskCache, number: number, length?: number): boolean {
  const payload = get(cache, number);
  return payload !== undefined && Buffer.from(payload.buffer).equals(payloadOf(number, length));
}

export function get(cache: DiskCache, number: number, kind: EntryKind = "snapshot"): Uint8Array | undefined {
  const entry = cache.get(kind, keyOf(number));
  return entry && new Uint8Array(entry.payload);
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
