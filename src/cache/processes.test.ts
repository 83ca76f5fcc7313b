import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  get,
  holds,
  openDiskCache,
  payloadOf,
  put,
  removeTemporaryFolders,
  temporaryFolder,
} from "../../test/support/cache-entries.ts";
import { processEntry } from "../process/entry.ts";

afterAll(removeTemporaryFolders);

interface Writer {
  process: ChildProcess;
  /** Numbers that it said are written. */
  written: number[];
  exit: Promise<unknown[]>;
}

const WRITER = fileURLToPath(new URL("fixtures/writer.js", import.meta.url));

function startWriter(folder: string, first: number, count: number, length: number, limit = 1e9): Writer {
  const args = [processEntry("").href, folder, first, count, length, limit].map(String);
  const child = spawn(process.execPath, [WRITER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const written: number[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    written.push(...lines.map(Number));
  });
  return { process: child, written, exit: once(child, "close") };
}

describe("a writer that is killed", () => {
  it("leaves every entry that it acknowledged, and none that is damaged", async () => {
    const folder = temporaryFolder();
    const length = 2 * 1024 * 1024;
    let next = 1;
    const written: number[] = [];
    const [seed] = fc.sample(fc.array(fc.nat(40), { minLength: 12, maxLength: 12 }), 1);
    for (const delayMs of seed ?? []) {
      const writer = startWriter(folder, next, 1000, length);
      await once(writer.process.stdout as NodeJS.ReadableStream, "data");
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      writer.process.kill("SIGKILL");
      await writer.exit;
      written.push(...writer.written);
      next += 1000;

      const cache = openDiskCache(folder);
      for (const number of written) expect(holds(cache, number, length), `entry ${number}`).toBe(true);
      for (const entry of cache.list()) expect(cache.verify(entry)).toBe("good");
      expect(cache.counters.corrupt).toBe(0);
    }
    // Killed in the middle, at least sometimes: what was unfinished is there under no key.
    const unfinished = readdirSync(join(folder, "snapshots")).filter((name) => name.startsWith("writing-"));
    expect(unfinished.length).toBeGreaterThan(0);
  });
});

describe("several writers", () => {
  it("share a folder and its limit, and never see anything but whole entries", async () => {
    const folder = temporaryFolder();
    const length = 20_000;
    const limit = 400_000;
    // The same numbers twice, and others: they write the same entries, remove each other's, and read them all.
    const writers = [1, 1, 100].map((first) => startWriter(folder, first, 120, length, limit));
    const exits = await Promise.all(writers.map(({ exit }) => exit));
    expect(exits.map(([code]) => code)).toEqual([0, 0, 0]);
    expect(writers.map(({ written }) => written.length)).toEqual([120, 120, 120]);

    const cache = openDiskCache(folder, { limitBytes: limit });
    const entries = [...cache.list()];
    for (const entry of entries) expect(cache.verify(entry)).toBe("good");
    // Between two counts each may be wrong about the others by a sixteenth of the limit and the entry it writes.
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(limit * 1.5);
    expect(put(cache, 999, length)).toBe(true);
    expect(cache.counters.bytes).toBeLessThanOrEqual(limit);
    expect(get(cache, 999)).toEqual(payloadOf(999, length));
  });
});

describe("an engine whose thread pool computes", () => {
  it("has its entries written and read all the same", async () => {
    const script = fileURLToPath(new URL("fixtures/busy-pool.js", import.meta.url));
    const child = spawn(process.execPath, [script, processEntry("").href], {
      env: { ...process.env, UV_THREADPOOL_SIZE: "1", MULL_CACHE_DIR: temporaryFolder() },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    expect(await once(child, "close")).toEqual([0, null]);
    expect(output).toBe("written\nread\npool is free\n");
  });
});
