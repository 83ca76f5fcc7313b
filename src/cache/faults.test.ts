import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  get,
  holds,
  keyOf,
  openDiskCache,
  put,
  removeTemporaryFolders,
  temporaryFolder,
} from "../../test/support/cache-entries.ts";
import { type CallName, systemError, watchedFileSystem } from "../../test/support/watched-file-system.ts";
import type { DiskCache } from "./disk-cache.ts";
import type { FileSystem } from "./file-system.ts";

afterAll(removeTemporaryFolders);

const NUMBERS = [1, 2, 3, 4];
const LENGTH = 900;
/** Makes the last write push out the first entry. */
const LIMIT = 3500;

/** Everything that a cache does: first writes, making room, a hit, a miss. @returns what was acknowledged */
function work(cache: DiskCache): Set<number> {
  const acknowledged = new Set<number>();
  for (const number of NUMBERS) {
    if (put(cache, number, LENGTH)) acknowledged.add(number);
    get(cache, number);
    get(cache, 99);
  }
  return acknowledged;
}

/** Whether who opens the folder afterwards gets right bytes or none, and can go on working. */
function isSound(folder: string): boolean {
  const cache = openDiskCache(folder, { limitBytes: LIMIT });
  const there = NUMBERS.filter((number) => cache.has("snapshot", keyOf(number)));
  const right = there.filter((number) => holds(cache, number, LENGTH));
  return right.length === there.length && put(cache, 50, LENGTH) && holds(cache, 50, LENGTH);
}

function countCalls(): number {
  let calls = 0;
  const fs = watchedFileSystem(() => void (calls += 1));
  work(openDiskCache(temporaryFolder(), { fs, limitBytes: LIMIT }));
  return calls;
}

const unfinished = (folder: string): string[] =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.includes("writing-"));

describe("a call of the system that fails", () => {
  it.each(["ENOSPC", "EIO", "EDQUOT", "EMFILE", "EACCES", "EROFS"])(
    "with %s costs an entry at most, whichever call it is",
    (code) => {
      const calls = countCalls();
      expect(calls).toBeGreaterThan(50);
      for (let failing = 1; failing <= calls; failing++) {
        const folder = temporaryFolder();
        const warnings: string[] = [];
        let call = 0;
        let failed: CallName | undefined;
        const fs = watchedFileSystem((name) => {
          call += 1;
          if (call !== failing) return;
          failed = name;
          throw systemError(code, name.replace("Sync", ""));
        });
        const cache = openDiskCache(folder, {
          fs,
          limitBytes: LIMIT,
          warn: (message) => warnings.push(message),
        });
        const acknowledged = work(cache);
        // What was acknowledged and not pushed out since is there; a sector that cannot be read may cost one more.
        const kept = [...acknowledged].filter((number) => get(openDiskCache(folder), number) !== undefined);
        expect(kept.length, `${failed}`).toBeGreaterThanOrEqual(acknowledged.size - 2);
        expect(warnings.length).toBeLessThanOrEqual(1);
        // Only who may not remove a file leaves it.
        expect(unfinished(folder).length).toBeLessThanOrEqual(failed === "unlinkSync" ? 1 : 0);
        expect(isSound(folder)).toBe(true);
        rmSync(folder, { recursive: true });
      }
    },
  );

  it("tells once that the disk is full, and writes again when it is not", () => {
    const folder = temporaryFolder();
    const warnings: string[] = [];
    let full = true;
    const fs = watchedFileSystem((name) => {
      if (name === "writeSync" && full) throw systemError("ENOSPC", "write");
    });
    const cache = openDiskCache(folder, { fs, warn: (message) => warnings.push(message) });
    for (const number of NUMBERS) expect(put(cache, number)).toBe(false);
    full = false;
    for (const number of NUMBERS) expect(put(cache, number)).toBe(true);
    expect(warnings).toEqual([expect.stringContaining("ENOSPC")]);
    expect(cache.counters).toMatchObject({ writes: 4, drops: 4 });
    expect(unfinished(folder)).toEqual([]);
  });

  it("tells once that nothing can be written, does not try again, and still reads", () => {
    const folder = temporaryFolder();
    put(openDiskCache(folder), 1);
    const warnings: string[] = [];
    let opened = 0;
    const fs = watchedFileSystem((name, [path]) => {
      if (name !== "openSync" || !String(path).includes("writing-")) return;
      opened += 1;
      throw systemError("EROFS", "open");
    });
    const cache = openDiskCache(folder, { fs, warn: (message) => warnings.push(message) });
    for (const number of [2, 3, 4]) expect(put(cache, number)).toBe(false);
    expect(opened).toBe(1);
    expect(warnings).toEqual([expect.stringContaining("nothing is written")]);
    expect(holds(cache, 1)).toBe(true);
  });

  it("does not take a short write for a whole one, nor a short read", () => {
    const folder = temporaryFolder();
    const whole = watchedFileSystem(() => {});
    const fs: FileSystem = {
      ...whole,
      writeSync: ((fd: number, bytes: Uint8Array, start: number) =>
        whole.writeSync(fd, bytes, start, Math.min(7, bytes.byteLength - start))) as FileSystem["writeSync"],
      readSync: ((fd: number, bytes: Uint8Array, start: number, length: number) =>
        whole.readSync(fd, bytes, start, Math.min(5, length), null)) as FileSystem["readSync"],
    };
    expect(put(openDiskCache(folder, { fs }), 1, LENGTH)).toBe(true);
    expect(holds(openDiskCache(folder), 1, LENGTH)).toBe(true);
    expect(holds(openDiskCache(folder, { fs }), 1, LENGTH)).toBe(true);
  });
});

describe("a process that dies", () => {
  it("before any call, leaves what it had acknowledged and nothing that is wrong", () => {
    const calls = countCalls();
    for (let last = 0; last < calls; last++) {
      const folder = temporaryFolder();
      let call = 0;
      const fs = watchedFileSystem((name) => {
        // Also whatever the code does about it: a dead process does nothing more.
        if (call >= last) throw systemError("KILLED", name);
        call += 1;
      });
      const acknowledged = work(openDiskCache(folder, { fs, limitBytes: LIMIT }));
      const cache = openDiskCache(folder, { limitBytes: LIMIT });
      // The first makes room for the last.
      acknowledged.delete(1);
      const lost = [...acknowledged].filter((number) => !holds(cache, number, LENGTH));
      expect(lost).toEqual([]);
      expect(isSound(folder)).toBe(true);
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a power cut", () => {
  it("after any call, leaves what was acknowledged, and serves nothing that was lost", () => {
    const disk = new VolatileDisk(temporaryFolder());
    const cache = openDiskCache(disk.folder, { fs: disk.fs });
    const acknowledged: number[] = [];
    for (const number of NUMBERS) {
      expect(put(cache, number, LENGTH)).toBe(true);
      acknowledged.push(number);
      disk.mark([...acknowledged]);
    }
    expect(disk.states.length).toBeGreaterThan(50);
    for (const { files, marked } of disk.states) {
      const folder = temporaryFolder();
      for (const [path, bytes] of files) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), bytes, { mode: 0o600 });
      }
      const after = openDiskCache(folder);
      expect(marked.filter((number) => !holds(after, number, LENGTH))).toEqual([]);
      const served = NUMBERS.filter((number) => get(after, number) !== undefined);
      expect(served.filter((number) => !holds(after, number, LENGTH))).toEqual([]);
      rmSync(folder, { recursive: true });
    }
  });
});

const mounts: string[] = [];
afterAll(() => {
  for (const folder of mounts) execFileSync("umount", [folder], { stdio: "ignore" });
});

/** A disk of that size in memory. @throws where this user may mount none */
function mountDisk(size: string): string {
  const folder = temporaryFolder();
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "none", folder], { stdio: "ignore" });
  mounts.push(folder);
  return folder;
}

/** Containers have a root user who may not mount. */
function canMount(): boolean {
  try {
    mountDisk("1m");
    return true;
  } catch {
    console.warn("Tests with a disk that is full or read-only are skipped: they need the right to mount.");
    return false;
  }
}

describe.runIf(canMount())("a real disk", () => {
  it("that is filled by others stops nothing", () => {
    const folder = mountDisk("2m");
    // The cache believes that there is room: only the disk says that there is none.
    const watched = watchedFileSystem(() => {});
    const statfsSync = (() => ({
      blocks: 1e6,
      bavail: 1e6,
      bsize: 4096,
    })) as unknown as FileSystem["statfsSync"];
    const warnings: string[] = [];
    const cache = openDiskCache(join(folder, "mull"), {
      fs: { ...watched, statfsSync },
      warn: (message) => warnings.push(message),
    });
    expect(put(cache, 1, 1_000_000)).toBe(true);
    writeFileSync(join(folder, "others"), new Uint8Array(500_000));
    for (const number of [2, 3]) expect(put(cache, number, 1_000_000)).toBe(false);
    expect(warnings).toEqual([expect.stringContaining("ENOSPC")]);
    expect(unfinished(folder)).toEqual([]);
    expect(holds(cache, 1, 1_000_000)).toBe(true);
    rmSync(join(folder, "others"));
    expect(put(cache, 2, 500_000)).toBe(true);
    expect(holds(cache, 2, 500_000)).toBe(true);
  });

  it("that is almost full gets its room back", () => {
    const folder = mountDisk("4m");
    const cache = openDiskCache(join(folder, "mull"));
    for (let number = 1; number <= 20; number++) expect(put(cache, number, 500_000)).toBe(true);
    writeFileSync(join(folder, "others"), new Uint8Array(60_000));
    for (let number = 21; number <= 30; number++) expect(put(cache, number, 500_000)).toBe(true);
    expect(holds(cache, 30, 500_000)).toBe(true);
    expect(cache.counters.drops).toBe(0);
  });

  it("that is read-only is read from, and never written to", () => {
    const folder = mountDisk("2m");
    put(openDiskCache(folder), 1);
    execFileSync("mount", ["-o", "remount,ro", folder], { stdio: "ignore" });
    const warnings: string[] = [];
    const cache = openDiskCache(folder, { warn: (message) => warnings.push(message) });
    for (const number of [2, 3]) expect(put(cache, number)).toBe(false);
    expect(warnings).toEqual([expect.stringContaining("EROFS")]);
    expect(holds(cache, 1)).toBe(true);
  });
});

interface DiskState {
  /** Path below the folder → its bytes. */
  files: Map<string, Uint8Array>;
  /** What was acknowledged before. */
  marked: readonly number[];
}

/**
 * Follows every call and knows what a power cut after it could leave: bytes that were not synced are lost, or zeros in
 * their place; names that were not synced with their folder are there or not.
 */
class VolatileDisk {
  readonly folder: string;
  readonly states: DiskState[] = [];
  readonly fs: FileSystem;
  #marked: readonly number[] = [];
  /** By descriptor: the path it was opened at, and the file. */
  readonly #open = new Map<number, { path: string; file: { written: Buffer; synced: Buffer } | undefined }>();
  #names = new Map<string, { written: Buffer; synced: Buffer } | undefined>();
  #syncedNames = new Map<string, { written: Buffer; synced: Buffer } | undefined>();

  constructor(folder: string) {
    this.folder = folder;
    this.fs = watchedFileSystem((name, args) => (result) => {
      this.#follow(name, args, result);
      this.#record();
    });
  }

  mark(acknowledged: readonly number[]): void {
    this.#marked = acknowledged;
    this.#record();
  }

  #follow(name: CallName, args: readonly unknown[], result: unknown): void {
    const [first, second] = args;
    if (name === "mkdirSync") this.#names.set(String(first), undefined);
    else if (name === "openSync") {
      const path = String(first);
      const file = path.includes("writing-")
        ? { written: Buffer.alloc(0), synced: Buffer.alloc(0) }
        : undefined;
      this.#open.set(result as number, { path, file });
      if (file !== undefined) this.#names.set(path, file);
    } else if (name === "writeSync") {
      const { file } = this.#open.get(first as number) ?? {};
      const start = (args[2] ?? 0) as number;
      if (file === undefined) return;
      const bytes = (second as Uint8Array).subarray(start, start + (result as number));
      file.written = Buffer.concat([file.written, bytes]);
    } else if (name === "fsyncSync" || name === "fdatasyncSync") {
      const { path = "", file } = this.#open.get(first as number) ?? {};
      if (file !== undefined) file.synced = file.written;
      else this.#syncFolder(path);
    } else if (name === "renameSync") {
      this.#names.set(String(second), this.#names.get(String(first)));
      this.#names.delete(String(first));
    } else if (name === "unlinkSync") this.#names.delete(String(first));
  }

  #syncFolder(folder: string): void {
    for (const names of [this.#syncedNames, this.#names]) {
      for (const path of names.keys()) {
        if (dirname(path) !== folder) continue;
        if (this.#names.has(path)) this.#syncedNames.set(path, this.#names.get(path));
        else this.#syncedNames.delete(path);
      }
    }
  }

  #record(): void {
    for (const names of [this.#names, this.#syncedNames]) {
      for (const zeros of [false, true]) {
        const files = new Map<string, Uint8Array>();
        for (const [path, file] of names) {
          const parent = dirname(path);
          if (file === undefined || (parent !== this.folder && !names.has(parent))) continue;
          const { synced, written } = file;
          const lost = Buffer.alloc(zeros ? written.length - synced.length : 0);
          files.set(path.slice(this.folder.length + 1), Buffer.concat([synced, lost]));
        }
        this.states.push({ files, marked: this.#marked });
      }
    }
  }
}
