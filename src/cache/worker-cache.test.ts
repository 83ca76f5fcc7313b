import { createHash } from "node:crypto";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import {
  keyOf,
  payloadOf,
  removeTemporaryFolders,
  temporaryFolder,
} from "../../test/support/cache-entries.ts";
import type { CacheClient } from "./cache-client.ts";
import { cacheDirectory, entryPath } from "./cache-directory.ts";
import { noCache } from "./no-cache.ts";
import { openCache, type OpenCacheOptions } from "./open-cache.ts";
import { WorkerCache } from "./worker-cache.ts";

const opened: CacheClient[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close()));
});
afterAll(removeTemporaryFolders);

function open(folder: string, options: OpenCacheOptions = {}): CacheClient {
  const cache = openCache({ env: { MULL_CACHE_DIR: folder }, ...options });
  opened.push(cache);
  return cache;
}

/** A cache whose worker runs this code instead. */
function openBroken(code: string): { cache: CacheClient; warnings: string[] } {
  const warnings: string[] = [];
  const entry = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const directory = temporaryFolder();
  const cache = new WorkerCache({
    directory,
    limitBytes: 1e9,
    onWarning: (text) => warnings.push(text),
    entry,
  });
  opened.push(cache);
  return { cache, warnings };
}

const ROWS = Float32Array.from({ length: 36 * 256 }, (_, index) => Math.sin(index)); // (36, 256) float32
const META = { model: "pico", pictures: [{ width: 640, height: 480 }], tokens: 36 };

describe("the cache of an engine", () => {
  it("keeps rows and snapshots for the next engine", async () => {
    const folder = temporaryFolder();
    const first = open(folder);
    expect(await first.getRows(keyOf(1))).toBeUndefined();
    first.putRows(keyOf(1), ROWS, META);
    first.putSnapshot(keyOf(1), payloadOf(2, 100_001), { model: "pico" });
    await first.close();
    expect(first.stats()).toMatchObject({ hits: 0, misses: 1, writes: 2, drops: 0, corrupt: 0 });

    const second = open(folder);
    expect(await second.getRows(keyOf(1))).toEqual({ rows: ROWS, meta: META });
    expect(await second.getSnapshot(keyOf(1))).toEqual({
      state: payloadOf(2, 100_001),
      meta: { model: "pico" },
    });
    expect(second.stats()).toMatchObject({ hits: 2, misses: 0, writes: 0 });
    expect(second.stats().bytes).toBeGreaterThan(100_000 + ROWS.byteLength);
  });

  it("keeps special floats bit by bit", async () => {
    const bits = Uint32Array.of(0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 1, 0x7f7fffff, 0x3f800000);
    const cache = open(temporaryFolder());
    cache.putRows(keyOf(1), new Float32Array(bits.buffer), {});
    const found = await cache.getRows(keyOf(1));
    expect(new Uint32Array(found?.rows.buffer ?? new ArrayBuffer(0))).toEqual(bits);
  });

  it("takes what is put from the caller at once: rows by copying, a state by its buffer", async () => {
    const cache = open(temporaryFolder());
    const rows = new Float32Array(ROWS);
    cache.putRows(keyOf(1), rows, {});
    rows.fill(0);
    expect((await cache.getRows(keyOf(1)))?.rows).toEqual(ROWS);

    const state = payloadOf(1, 1000);
    cache.putSnapshot(keyOf(1), state, {});
    expect(state.byteLength).toBe(0);
    expect((await cache.getSnapshot(keyOf(1)))?.state).toEqual(payloadOf(1, 1000));
  });

  it("leaves alone what a view or a pool shares with others", async () => {
    const cache = open(temporaryFolder());
    const memory = payloadOf(1, 1000);
    const shared = new Uint8Array(new SharedArrayBuffer(500));
    shared.set(payloadOf(5, 500));
    cache.putSnapshot(keyOf(1), memory.subarray(100, 300), {});
    cache.putSnapshot(keyOf(2), Buffer.from("from the pool"), {});
    cache.putSnapshot(keyOf(3), shared, {});
    cache.putRows(keyOf(1), ROWS.subarray(256, 512), {});
    expect(memory).toEqual(payloadOf(1, 1000));
    expect((await cache.getSnapshot(keyOf(1)))?.state).toEqual(memory.subarray(100, 300));
    const pooled = await cache.getSnapshot(keyOf(2));
    expect(Buffer.from(pooled?.state ?? []).toString()).toBe("from the pool");
    expect((await cache.getSnapshot(keyOf(3)))?.state).toEqual(payloadOf(5, 500));
    expect((await cache.getRows(keyOf(1)))?.rows).toEqual(ROWS.subarray(256, 512));
  });

  it("gives each getter memory of its own", async () => {
    const cache = open(temporaryFolder());
    cache.putRows(keyOf(1), ROWS, {});
    const [one, other] = await Promise.all([cache.getRows(keyOf(1)), cache.getRows(keyOf(1))]);
    one?.rows.fill(0);
    expect(other?.rows).toEqual(ROWS);
  });

  it("gives what was put before, although nothing is written yet", async () => {
    const cache = open(temporaryFolder());
    for (let number = 0; number < 10; number++)
      cache.putSnapshot(keyOf(number), payloadOf(number, 9e6), { number });
    expect(await cache.has([keyOf(99), keyOf(7), keyOf(1)])).toBe(keyOf(7));
    const [late, early] = await Promise.all([cache.getSnapshot(keyOf(7)), cache.getSnapshot(keyOf(0))]);
    expect(Buffer.from(late?.state ?? []).equals(payloadOf(7, 9e6))).toBe(true);
    expect(Buffer.from(early?.state ?? []).equals(payloadOf(0, 9e6))).toBe(true);
    await cache.flush();
    expect(cache.stats()).toMatchObject({ writes: 10, drops: 0, hits: 2 });
  });

  it("finds the first key that a snapshot exists of", async () => {
    const cache = open(temporaryFolder());
    cache.putSnapshot(keyOf(2), payloadOf(2), {});
    cache.putSnapshot(keyOf(3), payloadOf(3), {});
    cache.putRows(keyOf(1), ROWS, {});
    await cache.flush();
    expect(await cache.has([keyOf(1), keyOf(3), keyOf(2)])).toBe(keyOf(3));
    expect(await cache.has([keyOf(1)])).toBeUndefined();
    expect(await cache.has([])).toBeUndefined();
  });

  it("drops what is put faster than it is written, and says so", async () => {
    const cache = open(temporaryFolder());
    const put = (number: number): void => cache.putSnapshot(keyOf(number), new Uint8Array(60 * 2 ** 20), {});
    for (let number = 1; number <= 8; number++) put(number);
    expect(cache.stats().drops).toBe(4);
    await cache.flush();
    put(9);
    await cache.flush();
    expect(cache.stats()).toMatchObject({ writes: 5, drops: 4 });
    expect(await cache.has([keyOf(5)])).toBeUndefined();
  });

  it("answers readers between the steps of a large file that is hashed, once for all who ask", async () => {
    const cache = open(temporaryFolder());
    const file = join(temporaryFolder(), "model.gguf");
    const bytes = Buffer.alloc(200 * 2 ** 20, 1);
    writeFileSync(file, bytes);
    cache.putRows(keyOf(1), ROWS, {});
    await cache.flush();
    const order: string[] = [];
    const digests = [1, 2, 3].map(async () => {
      const digest = await cache.fileDigest(file);
      order.push("digest");
      return digest;
    });
    await cache.getRows(keyOf(1));
    order.push("rows");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(await Promise.all(digests)).toEqual([sha256, sha256, sha256]);
    expect(order).toEqual(["rows", "digest", "digest", "digest"]);
  });

  it("says that a model file is missing", async () => {
    await expect(open(temporaryFolder()).fileDigest("/nowhere/x.gguf")).rejects.toMatchObject({
      code: "model_not_found",
    });
  });

  it("takes a damaged entry for a miss", async () => {
    const folder = temporaryFolder();
    const cache = open(folder);
    cache.putRows(keyOf(1), ROWS, {});
    await cache.flush();
    const path = entryPath(folder, "rows", keyOf(1));
    const bytes = readFileSync(path);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(await cache.getRows(keyOf(1))).toBeUndefined();
    expect(existsSync(path)).toBe(false);
    expect(cache.stats()).toMatchObject({ misses: 1, corrupt: 1 });
  });

  it("tells once why it cannot write", async () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    symlinkSync(elsewhere, join(folder, "rows"));
    const warnings: string[] = [];
    const cache = open(folder, { onWarning: (message) => warnings.push(message) });
    for (const number of [1, 2, 3]) cache.putRows(keyOf(number), ROWS, {});
    await cache.flush();
    expect(warnings).toEqual([expect.stringContaining("nothing is written")]);
    expect(cache.stats()).toMatchObject({ writes: 0, drops: 3 });
  });

  it("is closed: everything is a miss", async () => {
    const cache = open(temporaryFolder());
    cache.putRows(keyOf(1), ROWS, {});
    await cache.close();
    await cache.close();
    cache.putRows(keyOf(2), ROWS, {});
    cache.putSnapshot(keyOf(2), payloadOf(2), {});
    expect(await cache.getRows(keyOf(1))).toBeUndefined();
    expect(await cache.has([keyOf(1)])).toBeUndefined();
    expect(await cache.fileDigest("/any")).toMatch(/^[0-9a-f]{64}$/);
    await cache.flush();
    expect(cache.stats()).toMatchObject({ writes: 1, drops: 2 });
  });
});

describe("a worker that dies", () => {
  it.each([
    ["at its start", "throw new Error('boom')"],
    ["with a request", onRequest("throw new Error('boom')")],
    ["by leaving", onRequest("process.exit(7)")],
  ])("%s costs hits, and is not started for ever", async (_when, code) => {
    const { cache, warnings } = openBroken(code);
    for (let time = 0; time < 5; time++) {
      cache.putRows(keyOf(1), ROWS, {});
      expect(await cache.getRows(keyOf(1))).toBeUndefined();
    }
    expect(await cache.has([keyOf(1)])).toBeUndefined();
    expect(await cache.fileDigest("/any")).toBe(await noCache.fileDigest("/any"));
    expect(cache.stats()).toMatchObject({ hits: 0, misses: 5, writes: 0, drops: 5 });
    expect(warnings).toEqual([expect.stringContaining("its worker died")]);
  });

  it("once is replaced, and the digest that it owed is asked for again", async () => {
    const counter = join(temporaryFolder(), "started");
    const { cache, warnings } = openBroken(`
      import { parentPort } from "node:worker_threads";
      import { existsSync, writeFileSync } from "node:fs";
      const first = !existsSync(${JSON.stringify(counter)});
      writeFileSync(${JSON.stringify(counter)}, "");
      const counters = { writes: 0, drops: 0, corrupt: 0, bytes: 5 };
      parentPort.on("message", ({ id }) => {
        if (first) throw new Error("boom");
        parentPort.postMessage({ type: "digested", id, counters, sha256: "f".repeat(64) });
      });`);
    expect(await cache.fileDigest("/any")).toBe("f".repeat(64));
    expect(cache.stats().bytes).toBe(5);
    expect(warnings).toEqual([]);
  });
});

describe("a worker that does not answer", () => {
  it("holds up nobody for ever: neither who reads, nor who closes", async () => {
    const { cache } = openBroken(onRequest(""));
    cache.putRows(keyOf(1), ROWS, {});
    const read = cache.getRows(keyOf(1));
    await cache.close();
    expect(await read).toBeUndefined();
    expect(cache.stats()).toMatchObject({ misses: 1, drops: 1 });
  });
});

describe("openCache", () => {
  it("keeps nothing where it is told to", async () => {
    const folder = temporaryFolder();
    const off: OpenCacheOptions[] = [
      { diskCache: false },
      { env: { MULL_CACHE_DIR: folder, MULL_CACHE: "off" } },
      { env: { MULL_CACHE_DIR: folder, MULL_CACHE: "0" } },
      { env: { MULL_CACHE_DIR: folder, MULL_CACHE_SIZE: "0" } },
    ];
    for (const options of off) expect(openCache(options)).toBe(noCache);
    noCache.putRows(keyOf(1), ROWS, {});
    noCache.putSnapshot(keyOf(1), payloadOf(1), {});
    expect(await noCache.getRows(keyOf(1))).toBeUndefined();
    expect(await noCache.getSnapshot(keyOf(1))).toBeUndefined();
    expect(await noCache.has([keyOf(1)])).toBeUndefined();
    expect(await noCache.fileDigest("/a")).not.toBe(await noCache.fileDigest("/b"));
  });

  it("keeps to MULL_CACHE_SIZE", async () => {
    const folder = temporaryFolder();
    const cache = open(folder, { env: { MULL_CACHE_DIR: folder, MULL_CACHE_SIZE: "100 kB" } });
    for (let number = 1; number <= 10; number++)
      cache.putSnapshot(keyOf(number), payloadOf(number, 20_000), {});
    await cache.flush();
    expect(cache.stats().bytes).toBeLessThanOrEqual(100_000);
    expect(await cache.has([keyOf(10)])).toBe(keyOf(10));
    expect(await cache.has([keyOf(1)])).toBeUndefined();
  });

  it.each(["2 apples", "-1", "GB", "1iB", "1e9", "0x10"])("refuses MULL_CACHE_SIZE=%s", (size) => {
    expect(() => openCache({ env: { MULL_CACHE_SIZE: size } })).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });
});

describe("cacheDirectory", () => {
  it.each([
    [{ MULL_CACHE_DIR: "/a/b", XDG_CACHE_HOME: "/c", HOME: "/h" }, "/a/b"],
    [{ XDG_CACHE_HOME: "/c", HOME: "/h" }, "/c/mull"],
    [{ MULL_CACHE_DIR: "", XDG_CACHE_HOME: "", HOME: "/h" }, "/h/.cache/mull"],
    [{ XDG_CACHE_HOME: "relative", HOME: "/h" }, "/h/.cache/mull"],
  ])("of %j is %s", (env, directory) => expect(cacheDirectory(env)).toBe(directory));
});

/** Code of a worker that does this with every request. */
function onRequest(action: string): string {
  return `import { parentPort } from "node:worker_threads"; parentPort.on("message", () => { ${action} });`;
}
