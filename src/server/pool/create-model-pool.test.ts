import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INFO, STATS } from "../../../test/support/cli-harness.ts";
import { MullError } from "../../spec/errors.ts";
import type { Model } from "../../spec/model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { CatalogEntry, Lease, ModelPool } from "../model-pool.ts";
import type { Clock } from "./clock.ts";
import { createModelPool } from "./create-model-pool.ts";

const KEEP_ALIVE = 300_000;
const GIGABYTE = 1e9;

/** A pool over models of one gigabyte each, whose loads end when the test says so, in a time that the test moves. */
class PoolHarness {
  readonly pool: ModelPool;
  /** Every load that was begun. */
  readonly loads: { options: LoadOptions; succeed: () => void; fail: (error: unknown) => void }[] = [];
  /** Names of models whose process was ended, in order. */
  readonly closed: string[] = [];
  readonly ended: Set<Model> = new Set();
  readonly entries: Map<string, CatalogEntry> = new Map();
  free: number = Number.POSITIVE_INFINITY;
  /** Loads end at once. */
  quick: boolean;
  #time = 0;
  readonly #timers = new Map<() => void, number>();

  constructor(options: { names?: string[]; maxLoadedModels?: number; quick?: boolean } = {}) {
    this.quick = options.quick ?? true;
    for (const name of options.names ?? ["a", "b", "c", "d"]) this.entries.set(name, entryOf(name));
    const clock: Clock = {
      now: () => this.#time,
      after: (milliseconds, callBack) => {
        // One key for each call, whatever it calls back.
        const timer = (): void => callBack();
        this.#timers.set(timer, this.#time + milliseconds);
        return () => this.#timers.delete(timer);
      },
    };
    const quiet = (): void => {};
    this.pool = createModelPool(
      {
        parallel: "auto",
        contextLength: undefined,
        maxLoadedModels: options.maxLoadedModels ?? 3,
        keepAliveMs: KEEP_ALIVE,
      },
      {
        load: (load) => this.#load(load),
        catalog: {
          list: async () => [...this.entries.values()],
          find: async (name) => {
            const entry = this.entries.get(name.replace(":latest", ""));
            if (entry === undefined) throw new MullError("model_not_found", "none");
            return entry;
          },
          remove: async (name) => void this.entries.delete(name.replace(":latest", "")),
          requireFree: async () => {},
        },
        log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
        freeMemory: () => this.free,
        clock,
        estimate: async (_, contextLength) => ({ contextLength: contextLength ?? 4096, bytes: GIGABYTE }),
      },
    );
  }

  get loadedNames(): string[] {
    return this.pool.loaded().map(({ entry }) => entry.name.replace(":latest", ""));
  }

  /** Moves time on and lets everything happen that is then due. */
  async pass(milliseconds: number): Promise<void> {
    this.#time += milliseconds;
    for (const [timer, due] of this.#timers) {
      if (due > this.#time) continue;
      this.#timers.delete(timer);
      timer();
    }
    await settled();
  }

  #load(options: LoadOptions): Promise<Model> {
    const name = options.model as string;
    return new Promise((resolve, reject) => {
      const succeed = (): void => {
        this.free -= GIGABYTE;
        resolve(this.#model(name, options.contextLength));
      };
      this.loads.push({ options, succeed, fail: reject });
      options.signal?.addEventListener("abort", () => reject(options.signal?.reason));
      if (this.quick) succeed();
    });
  }

  #model(name: string, contextLength: number | undefined): Model {
    const close = async (): Promise<void> => {
      await Promise.resolve();
      this.closed.push(name);
      this.ended.add(model);
      this.free += GIGABYTE;
    };
    const model: Model = {
      info: { ...INFO, name, contextLength: contextLength ?? 0 },
      enginePid: undefined,
      ask: async () => "",
      stream: async function* () {},
      inspect: async () => Promise.reject(new Error("not in this test")),
      embed: async () => ({ vectors: [], usage: { total: 0, text: 0, image: 0 }, receipts: [] }),
      countTokens: async () => ({ total: 0, text: 0, image: 0 }),
      stats: async () => STATS,
      close,
      [Symbol.asyncDispose]: close,
    };
    return model;
  }
}

function entryOf(name: string): CatalogEntry {
  return {
    name: `${name}:latest`,
    load: { model: name },
    bytes: GIGABYTE,
    modifiedAt: new Date(0),
    digest: name,
  };
}

/** Lets all promises that can be settled now be settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What becomes of a promise, to be looked at without waiting for it. */
function watch<Value>(promise: Promise<Value>): { value?: Value; error?: unknown } {
  const seen: { value?: Value; error?: unknown } = {};
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => (seen.error = error),
  );
  return seen;
}

describe("loading", () => {
  it("happens once for requests at the same time", async () => {
    const { pool, loads } = new PoolHarness();
    const leases = await Promise.all([pool.acquire("a"), pool.acquire("a:latest"), pool.acquire("a")]);
    expect(loads).toHaveLength(1);
    expect(new Set(leases.map((lease) => lease.model)).size).toBe(1);
    expect(pool.loaded()[0]?.leases).toBe(3);
    expect(loads[0]?.options).toMatchObject({ model: "a", contextLength: 4096, parallel: "auto" });
  });

  it("is told to the one who waited for it, in milliseconds", async () => {
    const harness = new PoolHarness({ quick: false });
    const first = watch(harness.pool.acquire("a"));
    await harness.pass(300);
    const second = watch(harness.pool.acquire("a"));
    await harness.pass(400);
    harness.loads[0]?.succeed();
    await settled();
    expect(first.value?.loadMs).toBe(700);
    expect(second.value?.loadMs).toBe(400);
    expect((await harness.pool.acquire("a")).loadMs).toBe(0);
  });

  it("goes on when one of two gives up, and is cancelled when both have", async () => {
    const { pool, loads } = new PoolHarness({ quick: false });
    const first = new AbortController();
    const second = new AbortController();
    const one = watch(pool.acquire("a", { signal: first.signal }));
    const two = watch(pool.acquire("a", { signal: second.signal }));
    await settled();
    first.abort();
    await settled();
    expect(one.error).toMatchObject({ code: "aborted" });
    expect(loads[0]?.options.signal?.aborted).toBe(false);
    second.abort();
    await settled();
    expect(two.error).toMatchObject({ code: "aborted" });
    expect(loads[0]?.options.signal?.aborted).toBe(true);
    expect(pool.loaded()).toEqual([]);
  });

  it("begins anew for a request that comes while a cancelled load ends, and ends what came of it", async () => {
    const harness = new PoolHarness({ quick: false });
    const gone = new AbortController();
    watch(harness.pool.acquire("a", { signal: gone.signal }));
    await settled();
    // This load does not hear that it was cancelled.
    harness.loads[0]!.succeed();
    gone.abort();
    const next = watch(harness.pool.acquire("a"));
    await settled();
    expect(harness.closed).toEqual(["a"]);
    expect(harness.loads).toHaveLength(2);
    harness.loads[1]!.succeed();
    await settled();
    expect(next.value?.entry.name).toBe("a:latest");
  });

  it("fails for all who wait, and is tried again by the next", async () => {
    const { pool, loads } = new PoolHarness({ quick: false });
    const waiting = [watch(pool.acquire("a")), watch(pool.acquire("a"))];
    await settled();
    loads[0]?.fail(new MullError("invalid_model", "damaged"));
    await settled();
    for (const { error } of waiting) expect(error).toMatchObject({ code: "invalid_model" });
    const again = watch(pool.acquire("a"));
    await settled();
    loads[1]?.succeed();
    await settled();
    expect(again.value).toBeDefined();
  });

  it("is for nobody who has given up before, and not for a name that is none", async () => {
    const { pool, loads } = new PoolHarness();
    await expect(pool.acquire("a", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
    await expect(pool.acquire("nothing")).rejects.toMatchObject({ code: "model_not_found" });
    expect(loads).toEqual([]);
  });
});

describe("keep_alive", () => {
  it("counts from the end of the last request", async () => {
    const harness = new PoolHarness();
    const first = await harness.pool.acquire("a");
    const second = await harness.pool.acquire("a");
    first.release();
    first.release();
    await harness.pass(KEEP_ALIVE * 2);
    expect(harness.loadedNames).toEqual(["a"]);
    second.release();
    await harness.pass(KEEP_ALIVE - 1);
    expect(harness.loadedNames).toEqual(["a"]);
    await harness.pass(1);
    expect(harness.loadedNames).toEqual([]);
    expect(harness.closed).toEqual(["a"]);
  });

  it("is that of the last request which said one", async () => {
    const harness = new PoolHarness();
    (await harness.pool.acquire("a", { keepAliveMs: Number.POSITIVE_INFINITY })).release();
    (await harness.pool.acquire("a")).release();
    await harness.pass(KEEP_ALIVE * 100);
    expect(harness.pool.loaded()[0]?.expiresAt).toBeUndefined();
    (await harness.pool.acquire("a", { keepAliveMs: 10 })).release();
    expect(harness.pool.loaded()[0]?.expiresAt).toEqual(new Date(KEEP_ALIVE * 100 + 10));
    await harness.pass(10);
    expect(harness.closed).toEqual(["a"]);
  });

  it("of 0 unloads as soon as nobody uses it", async () => {
    const harness = new PoolHarness();
    const other = await harness.pool.acquire("a");
    (await harness.pool.acquire("a", { keepAliveMs: 0 })).release();
    await settled();
    expect(harness.closed).toEqual([]);
    other.release();
    await settled();
    expect(harness.closed).toEqual(["a"]);
  });
});

describe("unload", () => {
  it("ends an idle model at once, a busy one when its requests have ended", async () => {
    const harness = new PoolHarness();
    (await harness.pool.acquire("a")).release();
    expect(await harness.pool.unload("A")).toBe(true);
    expect(harness.closed).toEqual(["a"]);
    expect(await harness.pool.unload("a")).toBe(false);
    const busy = await harness.pool.acquire("b");
    expect(await harness.pool.unload("b:latest")).toBe(true);
    expect(harness.loadedNames).toEqual(["b"]);
    busy.release();
    await settled();
    expect(harness.closed).toEqual(["a", "b"]);
  });
});

describe("room", () => {
  it("is made by the least recently used idle model", async () => {
    const harness = new PoolHarness({ maxLoadedModels: 2 });
    for (const name of ["a", "b", "a", "c"]) (await harness.pool.acquire(name)).release();
    expect(harness.closed).toEqual(["b"]);
    expect(harness.loadedNames).toEqual(["a", "c"]);
  });

  it("is made until there is memory enough", async () => {
    const harness = new PoolHarness();
    harness.free = 2.5 * GIGABYTE;
    for (const name of ["a", "b"]) (await harness.pool.acquire(name)).release();
    expect(harness.closed).toEqual([]);
    (await harness.pool.acquire("c")).release();
    expect(harness.closed).toEqual(["a"]);
    harness.free = 0;
    (await harness.pool.acquire("d")).release();
    expect(harness.closed).toEqual(["a", "b"]);
  });

  it("is not waited for when there is nothing that could go", async () => {
    const harness = new PoolHarness();
    harness.free = 0;
    expect((await harness.pool.acquire("a")).entry.name).toBe("a:latest");
  });

  it("counts what models will take that are still being loaded", async () => {
    const harness = new PoolHarness({ quick: false });
    harness.free = 1.5 * GIGABYTE;
    watch(harness.pool.acquire("a"));
    const second = watch(harness.pool.acquire("b"));
    await settled();
    expect(harness.loads).toHaveLength(1);
    harness.loads[0]?.fail(new MullError("invalid_model", "damaged"));
    await settled();
    harness.loads[1]?.succeed();
    await settled();
    expect(second.value).toBeDefined();
  });

  it("is made one by one when the engine says that there was too little", async () => {
    const harness = new PoolHarness({ quick: false });
    for (const name of ["a", "b"]) {
      const lease = watch(harness.pool.acquire(name));
      await settled();
      harness.loads.at(-1)?.succeed();
      await settled();
      lease.value?.release();
    }
    const third = watch(harness.pool.acquire("c"));
    await settled();
    harness.loads[2]?.fail(new MullError("out_of_memory", "no"));
    await settled();
    expect(harness.closed).toEqual(["a"]);
    harness.loads[3]?.fail(new MullError("out_of_memory", "no"));
    await settled();
    expect(harness.closed).toEqual(["a", "b"]);
    harness.loads[4]?.fail(new MullError("out_of_memory", "still no"));
    await settled();
    expect(third.error).toMatchObject({ code: "out_of_memory", message: "still no" });
  });

  it("is waited for when all are busy, and those who come later wait their turn", async () => {
    const harness = new PoolHarness({ maxLoadedModels: 1 });
    const busy = await harness.pool.acquire("a");
    const other = watch(harness.pool.acquire("b"));
    await settled();
    const late = watch(harness.pool.acquire("a"));
    await settled();
    expect(late.value).toBeUndefined();
    busy.release();
    await settled();
    expect(other.value?.entry.name).toBe("b:latest");
    expect(late.value).toBeUndefined();
    other.value?.release();
    await settled();
    expect(late.value?.entry.name).toBe("a:latest");
  });

  it("is not waited for any longer by who gave up, nor by those who waited for him", async () => {
    const harness = new PoolHarness({ maxLoadedModels: 1 });
    const busy = await harness.pool.acquire("a");
    const gone = new AbortController();
    const other = watch(harness.pool.acquire("b", { signal: gone.signal }));
    await settled();
    const late = watch(harness.pool.acquire("a"));
    await settled();
    gone.abort();
    await settled();
    expect(other.error).toMatchObject({ code: "aborted" });
    expect(late.value?.model).toBe(busy.model);
  });
});

describe("a model that is not as it is wanted", () => {
  it("is loaded again, when it is idle, for a longer context", async () => {
    const harness = new PoolHarness();
    const short = await harness.pool.acquire("a", { contextLength: 1000 });
    const long = watch(harness.pool.acquire("a", { contextLength: 8000 }));
    await settled();
    expect(harness.loads).toHaveLength(1);
    short.release();
    await settled();
    expect(long.value?.model.info.contextLength).toBe(8000);
    expect(harness.closed).toEqual(["a"]);
    const shorter = await harness.pool.acquire("a", { contextLength: 1000 });
    expect(shorter.model).toBe(long.value?.model);
  });

  it("is loaded again when its files have changed", async () => {
    const harness = new PoolHarness();
    (await harness.pool.acquire("a")).release();
    harness.entries.set("a", { ...entryOf("a"), digest: "new" });
    expect((await harness.pool.acquire("a")).entry.digest).toBe("new");
    expect(harness.loads).toHaveLength(2);
  });
});

describe("close", () => {
  it("waits for running requests, refuses new and waiting ones, and ends all models", async () => {
    const harness = new PoolHarness({ maxLoadedModels: 1 });
    const busy = await harness.pool.acquire("a");
    const waiting = watch(harness.pool.acquire("b"));
    await settled();
    const end = watch(harness.pool.close(10_000).then(() => "ended"));
    await settled();
    expect(waiting.error).toMatchObject({ code: "server_busy" });
    await expect(harness.pool.acquire("a")).rejects.toMatchObject({ code: "server_busy" });
    await harness.pass(9_999);
    expect(end.value).toBeUndefined();
    busy.release();
    await settled();
    expect(end.value).toBe("ended");
    expect(harness.closed).toEqual(["a"]);
  });

  it("does not wait longer than it was told, and cancels what is being loaded", async () => {
    const harness = new PoolHarness();
    await harness.pool.acquire("a");
    harness.quick = false;
    const loading = watch(harness.pool.acquire("b"));
    await settled();
    const end = watch(harness.pool.close(10_000).then(() => "ended"));
    await settled();
    expect(loading.error).toMatchObject({ code: "server_busy" });
    expect(harness.loads[1]?.options.signal?.aborted).toBe(true);
    await harness.pass(10_000);
    expect(end.value).toBe("ended");
    expect(harness.closed).toEqual(["a"]);
  });
});

describe("any sequence of requests", () => {
  it("never has more models than it may, loses no request, and lends none that has gone", async () => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c", "d"),
      action: fc.constantFrom(
        "acquire",
        "acquire",
        "release",
        "abort",
        "unload",
        "pass",
        "load",
        "load",
        "fail",
      ),
      contextLength: fc.constantFrom(undefined, 1000, 8000),
      keepAliveMs: fc.constantFrom(undefined, 0, 50, Number.POSITIVE_INFINITY),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        async (steps, most) => {
          const harness = new PoolHarness({ maxLoadedModels: most, quick: false });
          const open: { stop: AbortController; seen: { value?: Lease; error?: unknown } }[] = [];
          const released = new Set<Lease>();
          const held = (): Lease[] =>
            open.flatMap(({ seen }) => (seen.value && !released.has(seen.value) ? [seen.value] : []));
          const release = (lease: Lease | undefined): void => {
            if (lease === undefined) return;
            released.add(lease);
            lease.release();
          };
          for (const { name, action, contextLength, keepAliveMs } of steps) {
            if (action === "acquire") {
              const stop = new AbortController();
              const options = {
                signal: stop.signal,
                ...(contextLength === undefined ? {} : { contextLength }),
                ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
              };
              open.push({ stop, seen: watch(harness.pool.acquire(name, options)) });
            } else if (action === "release") release(held()[0]);
            else if (action === "abort") open.at(-1)?.stop.abort();
            else if (action === "unload") await harness.pool.unload(name);
            else if (action === "fail")
              harness.loads.shift()?.fail(new MullError("invalid_model", "damaged"));
            else if (action === "load") harness.loads.shift()?.succeed();
            else await harness.pass(60);
            await settled();
            expect(harness.loadedNames.length).toBeLessThanOrEqual(most);
            for (const { model } of held()) expect(harness.ended.has(model)).toBe(false);
          }
          // Everybody is served once those before have left.
          for (let turn = 0; turn < 10 * open.length + 10; turn++) {
            for (const { succeed } of harness.loads.splice(0)) succeed();
            await settled();
            for (const lease of held()) release(lease);
            await settled();
          }
          for (const { seen } of open) expect(seen.value ?? seen.error).toBeDefined();
          for (const { leases } of harness.pool.loaded()) expect(leases).toBe(0);
          const end = watch(harness.pool.close(0).then(() => "ended"));
          await settled();
          expect(end.value).toBe("ended");
        },
      ),
      { numRuns: 150 },
    );
  });
});
