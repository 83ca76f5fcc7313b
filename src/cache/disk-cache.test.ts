import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  get,
  keyOf,
  openDiskCache,
  payloadOf,
  put,
  removeTemporaryFolders,
  run,
  temporaryFolder,
} from "../../test/support/cache-entries.ts";
import { systemError, watchedFileSystem } from "../../test/support/watched-file-system.ts";
import { entryPath } from "./cache-directory.ts";
import { EntryChecksum } from "./entry-checksum.ts";
import { TEMPORARY_PREFIX } from "./entry-file.ts";

afterAll(removeTemporaryFolders);

const fileOf = (folder: string, number: number): string => entryPath(folder, "snapshot", keyOf(number));
const names = (folder: string): string[] => readdirSync(join(folder, "snapshots"));
const setUsed = (folder: string, number: number, time: Date): void =>
  utimesSync(fileOf(folder, number), time, time);
const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);

describe("DiskCache", () => {
  it("gives back what was put, bytes and facts, also to another that opens the folder", () => {
    const folder = temporaryFolder();
    const lengths = fc.oneof(fc.nat(300), fc.constantFrom(0, 512 * 1024, 512 * 1024 + 1, 5 * 1024 * 1024));
    fc.assert(
      fc.property(fc.nat(), lengths, fc.jsonValue(), (number, length, facts) => {
        const cache = openDiskCache(folder);
        const payload = payloadOf(number, length);
        const key = keyOf(number);
        for (const entry of cache.list()) cache.remove(entry);
        expect(run(cache.put("rows", key, payload.slice(0, length & ~3), JSON.stringify(facts)))).toBe(true);
        expect(run(cache.put("snapshot", key, payload, JSON.stringify(facts)))).toBe(true);
        const entry = openDiskCache(folder).get("snapshot", key);
        expect(Buffer.from(entry?.payload ?? new ArrayBuffer(1)).equals(payload)).toBe(true);
        expect(entry?.meta).toEqual(JSON.parse(JSON.stringify(facts)));
        expect(entry?.header).toMatchObject({ kind: "snapshot", key, payloadBytes: length });
        expect(openDiskCache(folder).get("rows", key)?.payload.byteLength).toBe(length & ~3);
        expect(openDiskCache(folder).get("digest", key)).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  it("is private: folders 0700, files 0600, nothing unfinished left", () => {
    const folder = join(temporaryFolder(), "a", "b");
    put(openDiskCache(folder), 1);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "snapshots")).mode & 0o777).toBe(0o700);
    expect(statSync(fileOf(folder, 1)).mode & 0o777).toBe(0o600);
    expect(names(folder)).toEqual([keyOf(1)]);
  });

  it("touches nothing on the disk for a miss", () => {
    const folder = join(temporaryFolder(), "new");
    const cache = openDiskCache(folder);
    expect(get(cache, 1)).toBeUndefined();
    expect(cache.has("snapshot", keyOf(1))).toBe(false);
    expect([...cache.list()]).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it("goes on when its folder is removed under it", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder);
    put(cache, 1);
    renameSync(join(folder, "snapshots"), join(folder, "elsewhere"));
    expect(get(cache, 1)).toBeUndefined();
    expect(put(cache, 1)).toBe(true);
    expect(get(cache, 1)).toEqual(payloadOf(1));
  });
});

describe("a damaged entry", () => {
  const folder = temporaryFolder();
  put(openDiskCache(folder), 1, 50);
  const whole = readFileSync(fileOf(folder, 1));
  const changed = (change: (bytes: Buffer) => Buffer): void =>
    writeFileSync(fileOf(folder, 1), change(Buffer.from(whole)), { mode: 0o600 });

  /** Whether asking for it is a miss, counts as damage, and removes the file. */
  const isFoundOut = (): boolean => {
    const cache = openDiskCache(folder);
    const missed = get(cache, 1) === undefined;
    return missed && cache.counters.corrupt === 1 && !existsSync(fileOf(folder, 1));
  };

  it("is a miss and is removed, whichever bit of whichever byte was flipped", () => {
    for (let place = 0; place < whole.length; place++) {
      for (const bit of [0, 3, 7]) {
        changed((bytes) => {
          bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
          return bytes;
        });
        expect(isFoundOut()).toBe(true);
      }
    }
  });

  it("is a miss and is removed, wherever it was cut off, and with bytes behind its end", () => {
    for (let length = 0; length < whole.length; length++) {
      changed((bytes) => bytes.subarray(0, length));
      expect(isFoundOut()).toBe(true);
    }
    changed((bytes) => Buffer.concat([bytes, Buffer.alloc(1)]));
    expect(isFoundOut()).toBe(true);
  });

  it("is a miss and is removed when it was zeroed and kept its size and times", () => {
    changed((bytes) => bytes.fill(0));
    setUsed(folder, 1, ago(1));
    expect(isFoundOut()).toBe(true);
  });

  it("of several slices is found, too", () => {
    const large = temporaryFolder();
    const length = 3 * 512 * 1024 + 5;
    fc.assert(
      fc.property(fc.nat(length - 1), fc.integer({ min: 1, max: 255 }), (place, difference) => {
        put(openDiskCache(large), 2, length);
        const bytes = readFileSync(fileOf(large, 2));
        const at = bytes.length - 16 - length + place;
        bytes[at] = (bytes[at] ?? 0) ^ difference;
        writeFileSync(fileOf(large, 2), bytes);
        expect(get(openDiskCache(large), 2)).toBeUndefined();
      }),
      { numRuns: 15 },
    );
  });

  it("is one whose lengths are not those of its file, or are beyond all reason", () => {
    for (const fileBytes of [whole.length, 2 ** 40]) {
      changed((bytes) => {
        bytes.writeBigUInt64LE(BigInt(2 ** 40 - (whole.length - 50)), 48);
        return bytes;
      });
      truncateSync(fileOf(folder, 1), fileBytes);
      expect(isFoundOut()).toBe(true);
    }
  });

  it("is one that was written under another key, or as another kind", () => {
    const cache = openDiskCache(folder);
    put(cache, 1);
    put(cache, 2);
    renameSync(fileOf(folder, 2), fileOf(folder, 1));
    expect(isFoundOut()).toBe(true);
    put(cache, 1, 64, "rows");
    mkdirSync(join(folder, "snapshots"), { recursive: true });
    linkSync(entryPath(folder, "rows", keyOf(1)), fileOf(folder, 1));
    expect(isFoundOut()).toBe(true);
  });

  it("can be told from a good one by verify, which removes it and does not count as use", () => {
    const cache = openDiskCache(folder);
    put(cache, 3);
    put(cache, 4);
    setUsed(folder, 3, ago(100));
    const bytes = readFileSync(fileOf(folder, 4));
    writeFileSync(fileOf(folder, 4), bytes.subarray(1));
    const results = new Map([...cache.list()].map((entry) => [entry.key, cache.verify(entry)]));
    expect(results.get(keyOf(3))).toBe("good");
    expect(results.get(keyOf(4))).toBe("damaged");
    expect(existsSync(fileOf(folder, 4))).toBe(false);
    expect(Date.now() - statSync(fileOf(folder, 3)).mtimeMs).toBeGreaterThan(99 * 60_000);
  });
});

describe("EntryChecksum", () => {
  it("does not depend on how the payload is cut, and depends on its head", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.uint8Array(), { maxLength: 5 }), (head, parts) => {
        const cut = new EntryChecksum(head);
        for (const part of parts) cut.update(part);
        const whole = new EntryChecksum(head);
        whole.update(Buffer.concat(parts));
        const other = new EntryChecksum(Buffer.concat([head, Buffer.of(0)]));
        other.update(Buffer.concat(parts));
        const sum = cut.digest();
        expect(sum).toEqual(whole.digest());
        expect(sum).not.toEqual(other.digest());
      }),
    );
  });
});

describe("what others put into the folder", () => {
  it("is not followed: a link in the place of an entry", () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    const cache = openDiskCache(folder);
    put(openDiskCache(elsewhere), 1);
    put(cache, 2);
    symlinkSync(fileOf(elsewhere, 1), fileOf(folder, 1));
    expect(cache.has("snapshot", keyOf(1))).toBe(false);
    expect(get(cache, 1)).toBeUndefined();
    expect(lstatSync(fileOf(folder, 1), { throwIfNoEntry: false })).toBeUndefined();
    // What the link led to is not ours to remove, nor to write to.
    symlinkSync(fileOf(elsewhere, 1), fileOf(folder, 1));
    expect(put(cache, 1, 10)).toBe(true);
    expect(lstatSync(fileOf(folder, 1)).isFile()).toBe(true);
    expect(get(openDiskCache(elsewhere), 1)).toEqual(payloadOf(1));
  });

  it("is not followed: a link in the place of a folder", () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    put(openDiskCache(elsewhere), 1);
    symlinkSync(join(elsewhere, "snapshots"), join(folder, "snapshots"));
    const warnings: string[] = [];
    const cache = openDiskCache(folder, { warn: (message) => warnings.push(message) });
    expect(get(cache, 1)).toBeUndefined();
    expect([...cache.list()]).toEqual([]);
    expect(put(cache, 2)).toBe(false);
    expect(put(cache, 3, 64, "rows")).toBe(false);
    expect(warnings).toHaveLength(1);
    expect(names(elsewhere)).toEqual([keyOf(1)]);
  });

  it.skipIf(process.platform === "win32")("is not waited for: a pipe, a folder", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder);
    put(cache, 3);
    execFileSync("mkfifo", [fileOf(folder, 1)]);
    mkdirSync(fileOf(folder, 2));
    for (const number of [1, 2]) {
      expect(get(cache, number)).toBeUndefined();
      expect(put(cache, number)).toBe(number === 1);
    }
    expect(get(cache, 1)).toEqual(payloadOf(1));
  });

  it("is left alone if it is none of the cache's files", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder, { limitBytes: 300 });
    put(cache, 1);
    const others = ["notes.txt", "A".repeat(64), ".hidden", "0".repeat(63)].map((name) =>
      join(folder, "snapshots", name),
    );
    for (const other of others) {
      writeFileSync(other, "mine");
      utimesSync(other, ago(1e6), ago(1e6));
    }
    for (const number of [2, 3, 4, 5]) put(cache, number);
    for (const other of others) expect(readFileSync(other, "utf8")).toBe("mine");
  });

  it("is not used when it belongs to somebody else", () => {
    const folder = temporaryFolder();
    put(openDiskCache(folder), 1);
    const stranger = <Stats>(stats: Stats): Stats => Object.assign(stats as object, { uid: 12_345 }) as Stats;
    const warnings: string[] = [];
    const foreignFolder = openDiskCache(folder, {
      fs: {
        ...watchedFileSystem(() => {}),
        lstatSync: ((path: string) => stranger(lstatSync(path))) as never,
      },
      warn: (message) => warnings.push(message),
    });
    expect(get(foreignFolder, 1)).toBeUndefined();
    expect(put(foreignFolder, 2)).toBe(false);
    expect(put(foreignFolder, 3)).toBe(false);
    expect(warnings).toEqual([expect.stringContaining("belongs to somebody else")]);

    const fs = watchedFileSystem((name) =>
      name === "fstatSync" ? (stats) => void stranger(stats) : undefined,
    );
    expect(get(openDiskCache(folder, { fs }), 1)).toBeUndefined();
  });
});

describe("the limit", () => {
  const size = 64 + 72 + '{"number":1}'.length + 16;

  it("is kept by removing what was used longest ago", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder, { limitBytes: size * 10 });
    for (let number = 1; number <= 9; number++) {
      put(cache, number);
      setUsed(folder, number, ago(1000 - number));
    }
    // Asking for an entry is using it.
    expect(get(cache, 2)).toBeDefined();
    // Ten fit. For the next, a tenth of the limit is made free beside its own room: two have to go.
    for (let number = 11; number <= 13; number++) put(cache, number, 63);
    const left = [...cache.list()].map(({ key }) => key);
    const expected = [2, 4, 5, 6, 7, 8, 9, 11, 12, 13].map(keyOf);
    expect(left.sort()).toEqual(expected.sort());
    expect(cache.counters).toMatchObject({ writes: 12, drops: 0 });
  });

  it("holds after every write, whatever is put and got, and the newest stays", () => {
    const step = fc.record({
      number: fc.integer({ min: 1, max: 30 }),
      length: fc.nat(900),
      read: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
        const folder = temporaryFolder();
        const limitBytes = 3000;
        const cache = openDiskCache(folder, { limitBytes });
        for (const { number, length, read } of steps) {
          const isThere = read || (put(cache, number, length) && get(cache, number) !== undefined);
          if (read) get(cache, number);
          expect(isThere).toBe(true);
          const bytes = [...cache.list()].reduce((sum, entry) => sum + entry.bytes, 0);
          expect(bytes).toBeLessThanOrEqual(limitBytes);
          expect(cache.counters.bytes).toBe(cache.counters.writes === 0 ? 0 : bytes);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("leaves out what alone is larger, and keeps the rest", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder, { limitBytes: 1000 });
    put(cache, 1);
    expect(put(cache, 2, 1000)).toBe(false);
    expect(cache.counters.drops).toBe(1);
    expect(get(cache, 1)).toBeDefined();
  });

  it("also counts what others write", () => {
    const folder = temporaryFolder();
    const limitBytes = size * 10;
    const [one, other] = [openDiskCache(folder, { limitBytes }), openDiskCache(folder, { limitBytes })];
    for (let number = 1; number <= 40; number++) put(number % 2 === 0 ? one : other, number);
    expect(names(folder).length).toBeLessThanOrEqual(10);
  });

  it("is no reason to fail when others remove at the same time", () => {
    const folder = temporaryFolder();
    for (let number = 1; number <= 10; number++) put(openDiskCache(folder), number);
    // Everything vanishes between the listing and the removal.
    const fs = watchedFileSystem((name, [path]) => {
      if (name === "unlinkSync") renameSync(String(path), join(folder, "gone"));
    });
    const cache = openDiskCache(folder, { limitBytes: size * 5, fs });
    expect(put(cache, 11)).toBe(true);
    expect(get(cache, 11)).toBeDefined();
  });

  it("shrinks while others need the disk", () => {
    const folder = temporaryFolder();
    let bavail = 1000;
    const fs = watchedFileSystem((name) =>
      name === "statfsSync"
        ? (stats) => void Object.assign(stats as object, { blocks: 1000, bsize: 1024, bavail })
        : undefined,
    );
    const warnings: string[] = [];
    const cache = openDiskCache(folder, { fs, warn: (message) => warnings.push(message) });
    for (let number = 1; number <= 200; number++) put(cache, number);
    // Less than the 2 % that stay reserved: as much of the cache goes.
    bavail = 10;
    expect(put(cache, 201)).toBe(true);
    expect(cache.counters.bytes).toBeLessThan(200 * size - 10 * 1024);
    bavail = 0;
    for (const entry of cache.list()) cache.remove(entry);
    expect(put(cache, 202)).toBe(false);
    expect(put(cache, 203)).toBe(false);
    expect(warnings).toEqual([expect.stringContaining("almost full")]);
  });

  it("does not keep an entry for ever that was used in the future", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder, { limitBytes: size * 4 });
    put(cache, 1);
    setUsed(folder, 1, new Date(Date.now() + 1e12));
    for (const number of [2, 3, 4, 5]) put(cache, number);
    expect(names(folder)).not.toContain(keyOf(1));
  });
});

describe("use", () => {
  it("is written down at most once a minute", () => {
    const folder = temporaryFolder();
    let touches = 0;
    const fs = watchedFileSystem((name) => {
      if (name === "futimesSync") touches += 1;
    });
    const cache = openDiskCache(folder, { fs });
    put(cache, 1);
    for (let time = 0; time < 5; time++) get(cache, 1);
    expect(touches).toBe(0);
    setUsed(folder, 1, ago(2));
    for (let time = 0; time < 5; time++) get(cache, 1);
    expect(touches).toBe(1);
    expect(Date.now() - statSync(fileOf(folder, 1)).mtimeMs).toBeLessThan(60_000);
  });

  it("is no reason for a miss where it cannot be written down", () => {
    const folder = temporaryFolder();
    put(openDiskCache(folder), 1);
    setUsed(folder, 1, ago(2));
    const fs = watchedFileSystem((name) => {
      if (name === "futimesSync") throw systemError("EROFS", "futime");
    });
    expect(get(openDiskCache(folder, { fs }), 1)).toEqual(payloadOf(1));
  });
});

describe("files that were never finished", () => {
  it("are removed once their writer must be dead, and not before", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder);
    put(cache, 1);
    const unfinished = ["old", "new", "ahead"].map((name) =>
      join(folder, "snapshots", TEMPORARY_PREFIX + name),
    );
    for (const file of unfinished) writeFileSync(file, "half");
    const [old = "", fresh = "", ahead = ""] = unfinished;
    utimesSync(old, ago(11), ago(11));
    utimesSync(ahead, ago(-1e6), ago(-1e6));
    run(cache.count());
    expect(new Set(names(folder))).toEqual(new Set([keyOf(1), basename(fresh)]));
  });

  it("are removed at once by whoever gives up writing", () => {
    const folder = temporaryFolder();
    const cache = openDiskCache(folder);
    put(cache, 1);
    const steps = cache.put("snapshot", keyOf(2), payloadOf(2, 10 * 1024 * 1024), "{}");
    // Room is made first; the first rest after that is in the middle of the file.
    while (names(folder).length < 2) steps.next();
    steps.return(false);
    expect(names(folder)).toEqual([keyOf(1)]);
  });
});
