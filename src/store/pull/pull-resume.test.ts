import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newStore, newStoreRoot } from "../../../test/support/new-store.ts";
import { startPullProcess } from "../../../test/support/pull-process.ts";
import { type RangeServer, sha256, startRangeServer, testBytes } from "../../../test/support/range-server.ts";
import { remoteBlob, remoteModel } from "../../../test/support/remote-models.ts";
import { type Digest, hexOf } from "../digest.ts";
import type { ModelStore } from "../model-store.ts";
import { openStore } from "../open-store.ts";
import type { RemoteModel } from "../remote-model.ts";
import type { Extent } from "./extents.ts";
import { parseJournal } from "./journal.ts";
import { type PullOptions, pullModel } from "./pull-model.ts";

const MODEL = testBytes(40_000_001);
const CONFIG = Buffer.from("{}");
const DIGEST = sha256(MODEL) as Digest;

let server: RangeServer;
let store: ModelStore;
beforeEach(async () => {
  server = await startRangeServer({ "/model": MODEL, "/config": CONFIG });
  store = newStore();
});
afterEach(() => server[Symbol.asyncDispose]());

const remoteOf = (): RemoteModel =>
  remoteModel([remoteBlob(`${server.url}/model`, MODEL), remoteBlob(`${server.url}/config`, CONFIG)]);
const dataPath = (): string => join(store.paths.partial, `${hexOf(DIGEST)}.data`);
const journalPath = (): string => join(store.paths.partial, `${hexOf(DIGEST)}.journal`);
const isStored = (): boolean =>
  existsSync(store.paths.blob(DIGEST)) && readFileSync(store.paths.blob(DIGEST)).equals(MODEL);

async function pull(options: PullOptions = {}): Promise<void> {
  await pullModel(store, remoteOf(), { connections: 4, ...options });
}

/** The end does not come: nobody is done before he leaves. */
const withoutEnd: RangeServer["behave"] = ({ end }) =>
  end === MODEL.length ? { stallAfter: 0 } : { pauseMs: 1 };

/** Leaves when so many bytes are there. */
async function pullPart(bytes: number): Promise<void> {
  const controller = new AbortController();
  const onProgress: PullOptions["onProgress"] = ({ completed = 0 }) => {
    if (completed > bytes) controller.abort();
  };
  server.behave = withoutEnd;
  await expect(pull({ signal: controller.signal, onProgress })).rejects.toMatchObject({ code: "aborted" });
  server.behave = () => ({});
}

/** What the journal claims now. */
function claims(): Extent[] {
  const extents = existsSync(journalPath()) ? parseJournal(readFileSync(journalPath()))?.extents : undefined;
  const claimed: Extent[] = [];
  let start = 0;
  for (const gap of [...(extents?.gaps(MODEL.length) ?? []), { start: MODEL.length, end: MODEL.length }]) {
    if (extents !== undefined && gap.start > start) {
      claimed.push({ offset: start, length: gap.start - start, checksum: 0 });
    }
    start = gap.end;
  }
  return claimed;
}

const sum = (extents: readonly Extent[]): number => extents.reduce((bytes, { length }) => bytes + length, 0);

/** Bytes of these extents that were sent by answers from number `from` on. */
function sentAgain(extents: readonly Extent[], from: number): number {
  let bytes = 0;
  for (const { path, start, end } of server.sent.slice(from)) {
    if (path !== "/model") continue;
    for (const { offset, length } of extents) {
      bytes += Math.max(0, Math.min(end, offset + length) - Math.max(start, offset));
    }
  }
  return bytes;
}

describe("a download that was left", () => {
  it("goes on where it was", async () => {
    await pullPart(15_000_000);
    const claimed = claims();
    // Everything that came was synced and written down.
    expect(sum(claimed)).toBeGreaterThan(15_000_000);
    const before = server.sent.length;
    const lines: number[] = [];
    await pull({ onProgress: ({ digest, completed = 0 }) => digest === DIGEST && lines.push(completed) });
    expect(isStored()).toBe(true);
    expect(sentAgain(claimed, before)).toBe(0);
    expect(lines[0]).toBe(sum(claimed));
    expect(existsSync(journalPath())).toBe(false);
  });

  it("goes on in steps", async () => {
    for (const bytes of [5_000_000, 10_000_000, 15_000_000, 20_000_000, 25_000_000]) {
      const claimed = claims();
      const before = server.sent.length;
      await pullPart(bytes);
      expect(sentAgain(claimed, before)).toBe(0);
    }
    await pull();
    expect(isStored()).toBe(true);
  });

  it("goes on by its key when nobody knows its digest", async () => {
    const remoteWith = (key: string): RemoteModel => {
      const changes = { digest: undefined, size: undefined, label: "model.gguf", key };
      const blob = remoteBlob(`${server.url}/model`, MODEL, changes);
      return remoteModel([blob, remoteBlob(`${server.url}/config`, CONFIG)]);
    };
    const controller = new AbortController();
    const onProgress: PullOptions["onProgress"] = ({ completed = 0 }) => {
      if (completed > 15_000_000) controller.abort();
    };
    server.behave = withoutEnd;
    const left = pullModel(store, remoteWith("one"), { signal: controller.signal, onProgress });
    await expect(left).rejects.toMatchObject({ code: "aborted" });
    server.behave = () => ({});
    const firsts: (number | undefined)[] = [];
    for (const key of ["two", "one"]) {
      const lines: (number | undefined)[] = [];
      await pullModel(store, remoteWith(key), { onProgress: ({ completed }) => lines.push(completed) });
      firsts.push(lines[0]);
    }
    // Another key is another content.
    expect(firsts[0]).toBe(0);
    expect(firsts[1]).toBeGreaterThan(15_000_000);
    expect(isStored()).toBe(true);
  });

  it.each<[string, () => void]>([
    ["an empty journal", () => writeFileSync(journalPath(), "")],
    ["no journal", () => rmSync(journalPath())],
    ["a journal of zeros", () => writeFileSync(journalPath(), Buffer.alloc(4096))],
    ["a journal of something else", () => writeFileSync(journalPath(), '{"N":0,"Offset":0,"Size":1}')],
    ["a journal of another blob", () => writeFileSync(journalPath(), foreignJournal())],
    ["empty data", () => truncateSync(dataPath(), 0)],
    ["data that is too short", () => truncateSync(dataPath(), 1_000_000)],
    ["no data", () => rmSync(dataPath())],
    ["data of zeros", () => writeFileSync(dataPath(), Buffer.alloc(MODEL.length))],
  ])("begins anew with %s", async (_, damage) => {
    await pullPart(15_000_000);
    damage();
    await pull();
    expect(isStored()).toBe(true);
  });

  it("does not believe a torn line, and believes the others", async () => {
    await pullPart(15_000_000);
    const length = statSync(journalPath()).size;
    truncateSync(journalPath(), length - 5);
    const claimed = claims();
    const before = server.sent.length;
    await pullPart(20_000_000);
    await pull();
    expect(isStored()).toBe(true);
    expect(sentAgain(claimed, before)).toBe(0);
  });

  it("fetches an extent again in which a byte was changed, and no other", async () => {
    await pullPart(30_000_000);
    const journal = parseJournal(readFileSync(journalPath()))!;
    const claimed = claims();
    const [first] = journal.extents.from(0, 1);
    const data = readFileSync(dataPath());
    data[first!.offset + 777]! ^= 0x10;
    writeFileSync(dataPath(), data);
    const before = server.sent.length;
    await pull();
    expect(isStored()).toBe(true);
    expect(sentAgain(claimed, before)).toBe(first!.length);
  });

  it("survives any damage to its files", async () => {
    await pullPart(30_000_000);
    const [data, journal] = [readFileSync(dataPath()), readFileSync(journalPath())];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(data.length - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(journal.length - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 4 }),
        fc.nat(journal.length),
        async (dataFlips, journalFlips, length) => {
          const root = newStoreRoot();
          store = openStore({ root });
          mkdirSync(store.paths.partial);
          writeFileSync(dataPath(), flipped(data, dataFlips));
          writeFileSync(journalPath(), flipped(journal, journalFlips).subarray(0, length));
          await pull();
          expect(isStored()).toBe(true);
          rmSync(root, { recursive: true });
        },
      ),
      { numRuns: 12 },
    );
  });
});

describe("a process that is killed", () => {
  it("at any moment loses nothing that it claimed", { timeout: 240_000 }, async () => {
    server.behave = () => ({ pauseMs: 10 });
    const blobs = [
      { url: `${server.url}/model`, digest: DIGEST, size: MODEL.length },
      { url: `${server.url}/config`, digest: sha256(CONFIG), size: CONFIG.length },
    ];
    let claimed: Extent[] = [];
    let most = 0;
    for (let round = 0; round < 20; round++) {
      const before = server.sent.length;
      const { child, started, exit } = startPullProcess(store.paths.root, blobs);
      await started;
      await sleep(Math.random() * 1500);
      child.kill("SIGKILL");
      await exit;
      expect(sentAgain(claimed, before)).toBe(0);
      // Under its name there is nothing but the whole.
      expect(isStored()).toBe(existsSync(store.paths.blob(DIGEST)));
      claimed = isStored() ? [{ offset: 0, length: MODEL.length, checksum: 0 }] : claims();
      most = Math.max(most, sum(claimed));
      if (!isStored()) continue;
      // From the beginning, for other moments.
      rmSync(store.paths.root, { recursive: true });
      mkdirSync(store.paths.root);
      claimed = [];
    }
    expect(most).toBeGreaterThan(0);
    server.behave = () => ({});
    const before = server.sent.length;
    await expect(startPullProcess(store.paths.root, blobs).exit).resolves.toBe(0);
    expect(isStored()).toBe(true);
    expect(sentAgain(claimed, before)).toBe(0);
    for await (const event of store.verify()) {
      expect(event.kind === "checking" || event.kind === "intact").toBe(true);
    }
  });
});

describe("a full disk", () => {
  const mountable = process.platform === "linux" && process.getuid?.() === 0 && canMount();
  if (!mountable) console.log("skipped: a full disk needs the right to mount a tmpfs");

  it.runIf(mountable)("in the middle keeps what fitted", async () => {
    const root = newStoreRoot();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", root]);
    try {
      const small = openStore({ root });
      store = { ...small, requireSpace: async () => {} };
      await expect(pull()).rejects.toMatchObject({ code: "insufficient_storage" });
      const claimed = claims();
      expect(sum(claimed)).toBeGreaterThan(8_000_000);
      execFileSync("mount", ["-o", "remount,size=64m", root]);
      const before = server.sent.length;
      await pull();
      expect(isStored()).toBe(true);
      expect(sentAgain(claimed, before)).toBe(0);
    } finally {
      execFileSync("umount", [root]);
    }
  });

  it("counts what an unfinished download holds already", async () => {
    await pullPart(15_000_000);
    const held = sum(claims());
    const asked: number[] = [];
    store = { ...store, requireSpace: async (bytes) => void asked.push(bytes) };
    await pull();
    expect(asked).toEqual([MODEL.length + CONFIG.length - held]);
  });
});

function canMount(): boolean {
  const root = newStoreRoot();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", root], { stdio: "ignore" });
    execFileSync("umount", [root]);
    return true;
  } catch {
    return false;
  }
}

function foreignJournal(): string {
  return readFileSync(journalPath(), "latin1").replace(hexOf(DIGEST), "0".repeat(64));
}

function flipped(bytes: Buffer, flips: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, bits] of flips) copy[at]! ^= bits;
  return copy;
}
