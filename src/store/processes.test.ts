import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  findProblems,
  nameOf,
  newStoreFolder,
  removeStoreFolders,
  writeModel,
} from "../../test/support/store-models.ts";
import { processEntry } from "../process/entry.ts";
import { digestOf } from "./digest.ts";
import type { ModelStore } from "./model-store.ts";
import { openStore } from "./open-store.ts";

afterAll(removeStoreFolders);

const WORKER = fileURLToPath(new URL("fixtures/busy-store.js", import.meta.url));

/** `layers`: undefined for a model that is removed. */
interface Line {
  begins?: string;
  done?: string;
  layers?: number[];
  finished?: boolean;
}

interface Worker {
  process: ChildProcess;
  lines: Line[];
  exit: Promise<unknown[]>;
}

function startWorker(root: string, seed: number, rounds: number, what: string): Worker {
  const args = [processEntry("").href, root, String(seed), String(rounds), what];
  const child = spawn(process.execPath, [WORKER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: Line[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const whole = (rest + text).split("\n");
    rest = whole.pop() ?? "";
    lines.push(...whole.map((line) => JSON.parse(line) as Line));
  });
  return { process: child, lines, exit: once(child, "close") };
}

const layerDigest = (number: number): string =>
  digestOf(Buffer.alloc(100_000 + number * 1000, `layer ${number} `));

async function digestsOf(store: ModelStore, name: string): Promise<readonly string[] | undefined> {
  const model = await store.find(nameOf(name));
  return model?.manifest.layers.map(({ digest }) => digest);
}

describe("a process that is killed", () => {
  it("leaves what it acknowledged, nothing that is wrong, and locks that others take over", async () => {
    const root = newStoreFolder();
    const store = openStore({ root });
    const expected = new Map<string, number[] | undefined>();
    const [delays] = fc.sample(fc.array(fc.nat(200), { minLength: 20, maxLength: 20 }), 1);
    for (const [index, delayMs] of (delays ?? []).entries()) {
      const worker = startWorker(root, index + 1, 1e6, "everything");
      await once(worker.process.stdout as NodeJS.ReadableStream, "data");
      await sleep(delayMs);
      worker.process.kill("SIGKILL");
      await worker.exit;

      const last = worker.lines.at(-1);
      for (const { done, layers } of worker.lines) if (done) expected.set(done, layers);
      expect(await store.damaged()).toEqual([]);
      for (const [name, layers] of expected) {
        const allowed = [layers, ...(last?.begins === name ? [last.layers] : [])];
        expect(allowed.map((numbers) => numbers?.map(layerDigest))).toContainEqual(
          await digestsOf(store, name),
        );
      }
      // Also what it began may be there.
      if (last?.begins) expected.delete(last.begins);
      const problems = await findProblems(store);
      expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
      // Nobody waits for the dead: this would not come back.
      await writeModel(store, "after", [`after ${index}`]);
      await store.remove(nameOf("after"));
    }
    await store.prune();
    expect(await findProblems(store)).toEqual([]);
    expect(readdirSync(store.paths.locks)).toEqual([]);
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });
});

describe("several processes", () => {
  it("write and prune at the same time, and no model loses a blob", async () => {
    const root = newStoreFolder();
    const workers = [
      startWorker(root, 1, 25, "left"),
      startWorker(root, 2, 25, "right"),
      startWorker(root, 3, 35, "prune"),
      startWorker(root, 4, 25, "everything"),
    ];
    const exits = await Promise.all(workers.map(({ exit }) => exit));
    expect(exits.map(([code]) => code)).toEqual([0, 0, 0, 0]);
    expect(workers.map(({ lines }) => lines.at(-1)?.finished)).toEqual([true, true, true, true]);
    const store = openStore({ root });
    expect((await store.list()).length).toBeGreaterThan(4);
    await store.prune();
    expect(await findProblems(store)).toEqual([]);
    expect(readdirSync(store.paths.locks)).toEqual([]);
  });
});
