import { describe, expect, it } from "vitest";
import { FaultyFileSystem, watchedStore } from "../../../test/support/faulty-file-system.ts";
import { type Chance, MemoryDisk } from "../../../test/support/memory-disk.ts";
import {
  bytesOf,
  chunksOf,
  CONFIG,
  findProblems,
  manifestBytes,
  nameOf,
  textDigest,
  writeModel,
} from "../../../test/support/store-models.ts";
import { MullError } from "../../spec/errors.ts";
import { type Digest, digestOf, parseDigest } from "../digest.ts";
import { blobsOf } from "../manifest.ts";
import type { ModelStore } from "../model-store.ts";
import { openStore } from "../open-store.ts";
import type { FileSystem } from "./file-system.ts";

const ROOT = "/data/store";
const SOURCE = "/elsewhere.gguf";

const open = (fs: FileSystem): ModelStore => openStore({ root: ROOT, fileSystem: fs, now: () => 0 });

/** With two models, of which one shares a layer with the other, and a blob that nothing needs. */
async function preparedDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  disk.overwrite(SOURCE, bytesOf("a model elsewhere"));
  const store = open(disk.fs);
  await writeModel(store, "old", ["shared", "its own"]);
  await writeModel(store, "other", ["shared"]);
  await store.writeBlob(bytesOf("garbage"));
  for (const folder of ["/", "/data"]) {
    const handle = await disk.fs.open(folder, 0);
    await handle.sync();
  }
  return disk;
}

type Operation = (store: ModelStore) => Promise<unknown>;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  writeBlob: (store) => store.writeBlob(bytesOf("small")),
  receiveBlob: (store) =>
    store.receiveBlob(chunksOf(bytesOf("a stream of some bytes"), 5), {
      expected: textDigest("a stream of some bytes"),
    }),
  "importFile by link": (store) => store.importFile(SOURCE),
  "importFile by copy": (store) => store.importFile(SOURCE, { copy: true }),
  writeManifest: (store) => store.writeManifest(nameOf("new"), manifestBytes(["shared"])),
  "writeManifest over another": (store) => store.writeManifest(nameOf("old"), manifestBytes(["shared"])),
  copy: (store) => store.copy(nameOf("old"), nameOf("user/copy:1")),
  remove: async (store) => {
    if ((await store.find(nameOf("old"))) !== undefined) await store.remove(nameOf("old"));
  },
  prune: (store) => store.prune(),
  pin: async (store) => {
    const pin = await store.pin([textDigest("garbage")]);
    try {
      await pin.add([textDigest("more")]);
    } finally {
      await pin.release();
    }
  },
  exclusively: (store) => store.exclusively("download", async () => {}),
  verify: findProblems,
};

/** Whatever happened: what has a name is what it says, what has a manifest is whole, and what was not touched is there. */
async function expectSound(disk: MemoryDisk, about: string): Promise<void> {
  expect(wrongBlobs(disk), `at ${about}`).toEqual([]);
  const store = open(disk.fs);
  expect(await store.damaged(), `at ${about}`).toEqual([]);
  for (const { manifest } of await store.list()) {
    for (const blob of blobsOf(manifest)) expect(await store.checkBlob(blob), `at ${about}`).toBe(true);
  }
  expect((await store.find(nameOf("other")))?.manifest.layers[0]?.digest, `at ${about}`).toBe(
    textDigest("shared"),
  );
  expect(
    (await findProblems(store)).filter(({ kind }) => kind !== "leftover"),
    `at ${about}`,
  ).toEqual([]);
}

/** A source that refuses is not the store's fault. */
function errorsOf(code: string): readonly string[] {
  if (code === "EACCES") return ["none", "store_unavailable", "model_not_found"];
  return ["none", code === "ENOSPC" ? "insufficient_storage" : "store_unavailable"];
}

function codeOf(error: unknown): string {
  return MullError.is(error) && error.hint !== undefined ? error.code : `without help: ${String(error)}`;
}

/** Blobs whose content is not what their name says. */
function wrongBlobs(disk: MemoryDisk): { digest: Digest; size: number }[] {
  return disk.filesBelow(`${ROOT}/blobs`).flatMap((path) => {
    const digest = parseDigest(path.slice(path.lastIndexOf("/") + 1));
    const bytes = disk.readFile(path);
    return digest === undefined || digestOf(bytes) === digest ? [] : [{ digest, size: bytes.length }];
  });
}

async function countCalls(operation: Operation): Promise<number> {
  const disk = await preparedDisk();
  const faulty = new FaultyFileSystem(disk.fs, 0, "");
  await operation(open(faulty.fs));
  return faulty.calls;
}

describe("a call of the system that fails", () => {
  it.each(Object.entries(OPERATIONS))("in %s, whichever it is, breaks nothing", async (_, operation) => {
    const calls = await countCalls(operation);
    expect(calls).toBeGreaterThan(5);
    const prepared = await preparedDisk();
    for (const code of ["ENOSPC", "EIO", "EACCES"]) {
      for (let failing = 1; failing <= calls; failing++) {
        const disk = prepared.copy();
        const faulty = new FaultyFileSystem(disk.fs, failing, code);
        const error = await operation(open(faulty.fs)).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        const about = `${code} of call ${failing}, ${faulty.failed}`;
        expect(errorsOf(code), `at ${about}`).toContain(error === undefined ? "none" : codeOf(error));
        // Nobody holds anything any more, and nothing is left over of what was begun.
        expect(disk.filesBelow(`${ROOT}/locks`), `at ${about}`).toEqual([]);
        expect(disk.filesBelow(`${ROOT}/partial`), `at ${about}`).toEqual([]);
        await expectSound(disk, about);
        await operation(open(disk.fs));
        await expectSound(disk, about);
      }
    }
  });

  it("to sync is never made again for the same file: what it held is written anew", async () => {
    const disk = await preparedDisk();
    const synced: string[] = [];
    let path = "";
    let isFirst = true;
    const fs = watchedStore(disk.fs, (call, args) => {
      if (call === "open") path = String(args[0]);
      if (call !== "file.sync" || !path.includes("/partial/")) return;
      synced.push(path);
      if (!isFirst) return;
      isFirst = false;
      throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
    });
    const store = open(fs);
    const body = bytesOf("bytes to keep");
    await expect(store.receiveBlob(chunksOf(body, 4))).rejects.toMatchObject({ code: "store_unavailable" });
    expect(disk.filesBelow(`${ROOT}/partial`)).toEqual([]);
    expect(await store.blobState({ digest: digestOf(body), size: body.length })).toBe("absent");
    await store.receiveBlob(chunksOf(body, 4));
    expect(synced.filter((file) => file === synced[0]).length).toBe(1);
  });
});

/** Numbers that look random and are the same in every run. */
function seededChance(seed: number): Chance {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const CUTS: readonly ((step: number) => Chance)[] = [
  // Everything that was not synced is lost; or all of it is there; or half of it.
  () => () => 0.99,
  () => () => 0,
  (step) => seededChance(step * 7 + 1),
  (step) => seededChance(step * 7 + 2),
  (step) => seededChance(step * 7 + 3),
];

/** Acknowledged: names with the texts of their layers, undefined for a name that was removed. */
type Promised = Readonly<Record<string, readonly string[] | undefined>>;

interface CutState {
  disk: MemoryDisk;
  /** What was acknowledged before, and what a step that is being made may have brought about already. */
  before: Promised;
  after: Promised;
}

const STEPS: readonly { does: Operation; promises: Promised }[] = [
  { does: (store) => writeModel(store, "first", ["one", "two"]), promises: { first: ["one", "two"] } },
  {
    does: async (store) => {
      for (const text of [CONFIG, "streamed"]) await store.receiveBlob(chunksOf(bytesOf(text), 3));
      await store.writeManifest(nameOf("host.example/user/second:x"), manifestBytes(["streamed"]));
    },
    promises: { "host.example/user/second:x": ["streamed"] },
  },
  { does: (store) => store.copy(nameOf("first"), nameOf("third")), promises: { third: ["one", "two"] } },
  { does: (store) => writeModel(store, "first", ["three"]), promises: { first: ["three"] } },
  { does: (store) => store.remove(nameOf("third")), promises: { third: undefined } },
  {
    does: async (store) => {
      await store.importFile(SOURCE, { copy: true });
      await store.writeManifest(nameOf("fourth"), manifestBytes(["a model elsewhere"]));
    },
    promises: { fourth: ["a model elsewhere"] },
  },
  { does: (store) => store.prune(), promises: {} },
  { does: (store) => store.remove(nameOf("first")), promises: { first: undefined } },
];

async function cutEverywhere(): Promise<CutState[]> {
  const disk = new MemoryDisk();
  disk.overwrite(SOURCE, bytesOf("a model elsewhere"));
  const root = await disk.fs.open("/", 0);
  await root.sync();
  const states: CutState[] = [];
  let [before, after]: [Promised, Promised] = [{}, {}];
  const cut = (): void => {
    for (const chances of CUTS) {
      const left = disk.afterPowerCut(chances(states.length));
      // With the machine, who held locks is gone.
      left.removeTree(`${ROOT}/locks`);
      states.push({ disk: left, before, after });
    }
  };
  const store = open(watchedStore(disk.fs, cut));
  for (const { does, promises } of STEPS) {
    after = { ...before, ...promises };
    await does(store);
    before = after;
    cut();
  }
  return states;
}

describe("a power cut, or a kill", () => {
  it("at any call leaves what was acknowledged, and nothing that is wrong is trusted", async () => {
    const states = await cutEverywhere();
    expect(states.length).toBeGreaterThan(1000);
    for (const [index, { disk, before, after }] of states.entries()) {
      const about = `state ${index}`;
      const store = open(disk.fs);
      expect(await store.damaged(), `at ${about}`).toEqual([]);
      for (const wrong of wrongBlobs(disk)) {
        expect(await store.blobState(wrong), `at ${about}`).not.toBe("intact");
      }
      for (const name of Object.keys({ ...before, ...after })) {
        const model = await store.find(nameOf(name));
        const layers = model?.manifest.layers.map(({ digest }) => digest);
        const allowed = [before[name], after[name]].map((texts) => texts?.map(textDigest));
        expect(allowed, `${about}: ${name}`).toContainEqual(layers);
        for (const blob of model === undefined ? [] : blobsOf(model.manifest)) {
          expect(await store.checkBlob(blob), `${about}: ${name}`).toBe(true);
        }
      }
      await store.prune();
      expect(await findProblems(store), `at ${about}`).toEqual([]);
      await writeModel(store, "afterwards", ["one", "afterwards"]);
      expect(await findProblems(store), `at ${about}`).toEqual([]);
    }
  }, 180_000);
});
