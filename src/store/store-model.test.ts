import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryDisk } from "../../test/support/memory-disk.ts";
import {
  bytesOf,
  CONFIG,
  findProblems,
  manifestBytes,
  nameOf,
  textDigest,
} from "../../test/support/store-models.ts";
import { MullError } from "../spec/errors.ts";
import type { ModelStore, Pin } from "./model-store.ts";
import { openStore } from "./open-store.ts";

const ROOT = "/store";

/** What a store should hold, said as simply as possible. */
interface Expected {
  /** By name in small letters. */
  models: Map<string, readonly string[]>;
  /** By text: whether the file on the disk has it. */
  blobs: Map<string, boolean>;
  pins: Map<string, readonly string[]>;
}

interface Real {
  disk: MemoryDisk;
  store: ModelStore;
  pins: Map<string, Pin>;
}

type Command = fc.AsyncCommand<Expected, Real>;

/** The same text in a model counts once; the config belongs to all. */
const blobsOfModel = (texts: readonly string[]): readonly string[] => [...new Set([CONFIG, ...texts])];

function isNeeded({ models, pins }: Expected, text: string): boolean {
  const inModel = [...models.values()].some((texts) => blobsOfModel(texts).includes(text));
  return inModel || [...pins.values()].some((texts) => texts.includes(text));
}

function check(condition: boolean, problem: string): void {
  if (!condition) throw new Error(problem);
}

/** Files and models are exactly those that are expected. */
async function compare(expected: Expected, { disk, store }: Real): Promise<void> {
  const there = disk.filesBelow(`${ROOT}/blobs`).sort();
  const wanted = [...expected.blobs.keys()].map((text) => store.paths.blob(textDigest(text))).sort();
  expect(there).toEqual(wanted);
  for (const [text, isRight] of expected.blobs) {
    const state = await store.blobState({ digest: textDigest(text), size: bytesOf(text).length });
    check(isRight || state !== "intact", `'${text}' is damaged and trusted`);
  }
  const listed = (await store.list()).map(({ name }) => name.model.toLowerCase()).sort();
  const names = [...expected.models.keys()].sort();
  expect(listed).toEqual(names);
  expect(disk.filesBelow(`${ROOT}/partial`)).toEqual([]);
}

async function failsWith(work: Promise<unknown>, code: string): Promise<boolean> {
  return work.then(
    () => false,
    (error: unknown) => MullError.is(error) && error.code === code,
  );
}

/** A command that is always possible; what it says of failures is checked within. */
function command(
  label: string,
  run: (expected: Expected, real: Real) => Promise<void>,
): Command & { toString(): string } {
  return {
    check: () => true,
    run: async (expected, real) => {
      await run(expected, real);
      await compare(expected, real);
    },
    toString: () => label,
  };
}

const writeBlob = (text: string): Command =>
  command(`writeBlob(${text})`, async ({ blobs }, { store }) => {
    await store.writeBlob(bytesOf(text));
    // One of the same size that was spoilt behind the store's back is replaced.
    blobs.set(text, true);
  });

const writeManifest = (name: string, texts: readonly string[]): Command =>
  command(`writeManifest(${name}, ${texts.join()})`, async ({ blobs, models }, { store }) => {
    const write = store.writeManifest(nameOf(name), manifestBytes(texts));
    if (blobsOfModel(texts).every((text) => blobs.has(text))) {
      await write;
      models.set(name.toLowerCase(), texts);
    } else check(await failsWith(write, "invalid_model"), "a model without its blobs was written");
  });

const copy = (from: string, to: string): Command =>
  command(`copy(${from}, ${to})`, async ({ blobs, models }, { store }) => {
    const texts = models.get(from.toLowerCase());
    const work = store.copy(nameOf(from), nameOf(to));
    if (texts === undefined) check(await failsWith(work, "model_not_found"), "nothing was copied");
    else if (blobsOfModel(texts).every((text) => blobs.has(text))) {
      await work;
      models.set(to.toLowerCase(), texts);
    } else check(await failsWith(work, "invalid_model"), "a model without its blobs was copied");
  });

const remove = (name: string): Command =>
  command(`remove(${name})`, async (expected, { store }) => {
    const texts = expected.models.get(name.toLowerCase());
    const work = store.remove(nameOf(name));
    if (texts === undefined) {
      check(await failsWith(work, "model_not_found"), "nothing was removed");
      return;
    }
    await work;
    expected.models.delete(name.toLowerCase());
    for (const text of blobsOfModel(texts)) if (!isNeeded(expected, text)) expected.blobs.delete(text);
  });

const prune = (): Command =>
  command("prune()", async (expected, { store }) => {
    await store.prune();
    for (const text of expected.blobs.keys()) {
      if (!isNeeded(expected, text)) expected.blobs.delete(text);
    }
  });

const pin = (label: string, texts: readonly string[]): Command =>
  command(`pin(${label}, ${texts.join()})`, async ({ pins }, real) => {
    const held = real.pins.get(label);
    const digests = texts.map(textDigest);
    if (held === undefined) real.pins.set(label, await real.store.pin(digests));
    else await held.add(digests);
    pins.set(label, [...(pins.get(label) ?? []), ...texts]);
  });

const release = (label: string): Command =>
  command(`release(${label})`, async ({ pins }, real) => {
    await real.pins.get(label)?.release();
    real.pins.delete(label);
    pins.delete(label);
  });

/** Somebody writes other bytes of the same number into the file. */
const spoil = (text: string): Command =>
  command(`spoil(${text})`, async ({ blobs }, { disk, store }) => {
    if (!blobs.has(text)) return;
    disk.overwrite(store.paths.blob(textDigest(text)), new Uint8Array(bytesOf(text).length));
    blobs.set(text, false);
  });

const checkBlob = (text: string): Command =>
  command(`checkBlob(${text})`, async ({ blobs }, { store }) => {
    const isRight = await store.checkBlob({ digest: textDigest(text), size: bytesOf(text).length });
    check(isRight === (blobs.get(text) ?? false), `checkBlob('${text}') says ${isRight}`);
    // It is moved away.
    if (!isRight) blobs.delete(text);
  });

const verify = (): Command =>
  command("verify()", async (expected, { store }) => {
    const problems = await findProblems(store);
    for (const [text, isRight] of expected.blobs) {
      const digest = textDigest(text);
      const reported = problems.some((event) => event.kind === "damaged" && event.digest === digest);
      check(
        reported === !isRight,
        `'${text}' is ${isRight ? "right" : "damaged"}, and verify says otherwise`,
      );
      if (!isRight) expected.blobs.delete(text);
    }
  });

/** As a process that starts anew sees it. */
const reopen = (): Command =>
  command("reopen()", async (_, real) => {
    real.store = openStore({ root: ROOT, fileSystem: real.disk.fs, now: () => 0 });
  });

const text = fc.constantFrom(CONFIG, "a", "bb", "ccc");
const name = fc.constantFrom("one", "ONE", "two", "three");
const label = fc.constantFrom("p", "q");
const texts = fc.array(text, { maxLength: 3 });

const COMMANDS = fc.commands(
  [
    text.map(writeBlob),
    text.map(writeBlob),
    fc.tuple(name, texts).map(([to, layers]) => writeManifest(to, layers)),
    fc.tuple(name, texts).map(([to, layers]) => writeManifest(to, layers)),
    fc.tuple(name, name).map(([from, to]) => copy(from, to)),
    name.map(remove),
    fc.constant(prune()),
    fc.tuple(label, texts).map(([held, layers]) => pin(held, layers)),
    label.map(release),
    text.map(spoil),
    text.map(checkBlob),
    fc.constant(verify()),
    fc.constant(reopen()),
  ],
  { maxCommands: 80, size: "max" },
);

describe("a store, whatever is asked of it in whatever order,", () => {
  it("keeps what is needed or pinned, removes what is not, and trusts nothing that was spoilt", async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(COMMANDS, async (commands) => {
        const disk = new MemoryDisk();
        const store = openStore({ root: ROOT, fileSystem: disk.fs, now: () => 0 });
        const pins = new Map<string, Pin>();
        await fc.asyncModelRun(
          () => ({
            model: { models: new Map(), blobs: new Map(), pins: new Map() },
            real: { disk, store, pins },
          }),
          commands,
        );
        await Promise.all([...pins.values()].map((held) => held.release()));
        runs += 1;
      }),
      { numRuns: 200 },
    );
    expect(runs).toBe(200);
  });
});
