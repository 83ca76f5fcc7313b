import { MullError } from "../../spec/errors.ts";
import type { Model } from "../../spec/model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { Logger } from "../logger.ts";
import type { AcquireOptions, CatalogEntry, Lease, ModelPool } from "../model-pool.ts";
import type { ServerOptions } from "../server-options.ts";
import { availableMemory } from "./available-memory.ts";
import type { Catalog } from "./catalog.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { type LoadEstimate, estimateLoad } from "./estimate-load.ts";
import { canonicalName } from "./model-name.ts";
import {
  findObstacle,
  isIdle,
  isOutdated,
  leastRecentlyUsed,
  loadedModel,
  type ModelSlot,
  type Waiter,
} from "./model-slot.ts";
import { abortError, createStateSignal } from "./state-signal.ts";

export interface PoolDependencies {
  load: (options: LoadOptions) => Promise<Model>;
  catalog: Catalog;
  log: Logger;
  /** Bytes that one more model could take. Default: what the system, or the container, has left. */
  freeMemory?: () => number;
  /** Default: the system's. */
  clock?: Clock;
  /** Default: by the headers of the model's files. */
  estimate?: typeof estimateLoad;
}

/**
 * A model of the pool is absent, loading, ready or closing. `acquire` looks at what there is, takes one step, and if
 * that was not the last one waits for a change and looks again. What lies between two awaits happens at once, so
 * nothing is locked.
 */
export function createModelPool(
  options: Pick<ServerOptions, "parallel" | "maxLoadedModels" | "keepAliveMs" | "contextLength">,
  dependencies: PoolDependencies,
): ModelPool {
  const { catalog, log, load } = dependencies;
  const { clock = SYSTEM_CLOCK, freeMemory = availableMemory, estimate = estimateLoad } = dependencies;
  const slots = new Map<string, ModelSlot>();
  const changed = createStateSignal();
  let uses = 0;
  let ending: Promise<void> | undefined;

  async function acquire(name: string, request: AcquireOptions = {}): Promise<Lease> {
    const { signal, keepAliveMs } = request;
    const since = clock.now();
    refuseIfOver(signal);
    const entry = await catalog.find(name);
    const needs = await estimate(entry, request.contextLength ?? options.contextLength, options.parallel);
    for (let waited = false; ; waited = true) {
      refuseIfOver(signal);
      let slot = slots.get(entry.name);
      let obstacle: ModelSlot | undefined;
      if (slot === undefined) {
        obstacle = findObstacle([...slots.values()], needs.bytes, options.maxLoadedModels, freeMemory);
        if (obstacle === undefined) slot = beginLoad(entry, needs);
      } else if (isOutdated(slot, entry, needs)) {
        obstacle = slot;
      }
      if (obstacle === undefined && slot !== undefined && slot.unwelcome === 0) {
        if (slot.state === "ready") return grant(slot, entry, keepAliveMs, waited ? since : clock.now());
        if (slot.state === "loading") {
          try {
            return await joinLoad(slot, entry, request, since);
          } catch (error) {
            // The guess of what it needs was too low: idle models make room, one by one.
            const others = [...slots.values()];
            obstacle =
              others.find(({ state }) => state === "closing") ?? leastRecentlyUsed(others.filter(isIdle));
            if (obstacle === undefined || MullError.wrap(error).code !== "out_of_memory") throw error;
          }
        }
      }
      if (obstacle !== undefined && isIdle(obstacle)) void unloadNow(obstacle, "to make room");
      if (obstacle !== undefined) obstacle.unwelcome += 1;
      try {
        await changed.next(signal);
      } finally {
        // No await from here to the next look: nobody else can take what was waited for.
        if (obstacle !== undefined) obstacle.unwelcome -= 1;
        if (signal?.aborted === true) changed.notify();
      }
    }
  }

  function beginLoad(entry: CatalogEntry, needs: LoadEstimate): ModelSlot {
    const slot: ModelSlot = {
      entry,
      contextLength: needs.contextLength,
      estimatedBytes: needs.bytes,
      state: "loading",
      model: undefined,
      abandon: new AbortController(),
      waiters: new Set(),
      leases: 0,
      unwelcome: 0,
      keepAliveMs: options.keepAliveMs,
      expiresAt: Number.POSITIVE_INFINITY,
      cancelTimer: undefined,
      lastUse: (uses += 1),
      gone: Promise.resolve(),
    };
    slots.set(entry.name, slot);
    log.info("model loads", { model: entry.name, bytes: needs.bytes, contextLength: needs.contextLength });
    slot.gone = finishLoad(slot, clock.now());
    return slot;
  }

  /** Loads, hands out leases to all who wait for it, or the error. */
  async function finishLoad(slot: ModelSlot, since: number): Promise<void> {
    const { name, load: files } = slot.entry;
    try {
      const model = await load({
        ...files,
        contextLength: slot.contextLength,
        parallel: files.parallel ?? options.parallel,
        signal: slot.abandon.signal,
      });
      if (slot.state === "loading") {
        slot.state = "ready";
        slot.model = model;
        log.info("model loaded", { model: name, ms: clock.now() - since });
        for (const waiter of slot.waiters) waiter.grant();
        if (slot.leases === 0) rest(slot);
      } else {
        await model.close();
        slots.delete(name);
      }
    } catch (error) {
      const { code, message } = MullError.wrap(error);
      if (slot.state === "loading") log.error("model not loaded", { model: name, code, error: message });
      slot.state = "closing";
      slots.delete(name);
      for (const waiter of slot.waiters) waiter.refuse(error);
    }
    slot.waiters.clear();
    changed.notify();
  }

  /** Waits until a load is done. Who gives up gives up for himself; when all have, the load is cancelled. */
  function joinLoad(
    slot: ModelSlot,
    entry: CatalogEntry,
    { signal, keepAliveMs }: AcquireOptions,
    since: number,
  ): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        slot.waiters.delete(waiter);
        reject(abortError(signal));
        if (slot.waiters.size === 0) abandonLoad(slot);
      };
      const done = (): void => signal?.removeEventListener("abort", giveUp);
      const waiter: Waiter = {
        grant: () => {
          done();
          resolve(grant(slot, entry, keepAliveMs, since));
        },
        refuse: (error) => {
          done();
          reject(error);
        },
      };
      slot.waiters.add(waiter);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  }

  function abandonLoad(slot: ModelSlot): void {
    if (slot.state !== "loading") return;
    slot.state = "closing";
    slot.abandon.abort();
  }

  function grant(
    slot: ModelSlot,
    entry: CatalogEntry,
    keepAliveMs: number | undefined,
    since: number,
  ): Lease {
    const { model } = slot;
    if (model === undefined) throw new MullError("internal", "A model that is not loaded was lent.");
    slot.cancelTimer?.();
    slot.cancelTimer = undefined;
    slot.leases += 1;
    slot.lastUse = uses += 1;
    slot.keepAliveMs = keepAliveMs ?? slot.keepAliveMs;
    let released = false;
    return {
      model,
      entry,
      loadMs: clock.now() - since,
      release: () => {
        if (released) return;
        released = true;
        slot.leases -= 1;
        slot.lastUse = uses += 1;
        if (slot.leases === 0) rest(slot);
        changed.notify();
      },
    };
  }

  /** The last request has left: the model goes at once, or when its time is over. */
  function rest(slot: ModelSlot): void {
    if (slot.state !== "ready") return;
    if (slot.unwelcome > 0) return void unloadNow(slot, "to make room");
    if (slot.keepAliveMs <= 0) return void unloadNow(slot, "not kept");
    slot.expiresAt = clock.now() + slot.keepAliveMs;
    if (slot.keepAliveMs === Number.POSITIVE_INFINITY) return;
    slot.cancelTimer = clock.after(slot.keepAliveMs, () => {
      if (isIdle(slot)) void unloadNow(slot, "idle");
    });
  }

  function unloadNow(slot: ModelSlot, why: string): Promise<void> {
    if (slot.state !== "ready") return slot.gone;
    slot.state = "closing";
    slot.cancelTimer?.();
    log.info("model unloads", { model: slot.entry.name, why });
    const end = async (): Promise<void> => {
      try {
        await slot.model?.close();
      } catch (error) {
        log.error("model did not end well", { model: slot.entry.name, error: MullError.wrap(error).message });
      }
      slots.delete(slot.entry.name);
      changed.notify();
    };
    slot.gone = end();
    return slot.gone;
  }

  function slotOf(name: string): ModelSlot | undefined {
    const wanted = canonicalName(name)?.toLowerCase();
    return [...slots.values()].find(({ entry }) => entry.name.toLowerCase() === wanted);
  }

  async function remove(name: string): Promise<void> {
    await catalog.remove(name);
    const slot = slotOf(name);
    if (slot === undefined) return;
    // Whoever asks for a new model of that name waits until this one is gone.
    slot.unwelcome += 1;
    if (isIdle(slot)) await unloadNow(slot, "removed");
  }

  async function unload(name: string): Promise<boolean> {
    const slot = slotOf(name);
    if (slot === undefined) return false;
    slot.keepAliveMs = 0;
    if (slot.leases === 0 && slot.state !== "loading") await unloadNow(slot, "asked to");
    return true;
  }

  function refuseIfOver(signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) throw abortError(signal);
    if (ending !== undefined)
      throw new MullError("server_busy", "The server is ending and takes no new requests.");
  }

  async function end(drainMs: number): Promise<void> {
    const tooLong = new AbortController();
    const cancel = clock.after(drainMs, () => tooLong.abort());
    for (const slot of slots.values()) {
      for (const waiter of slot.waiters) waiter.refuse(new MullError("server_busy", "The server is ending."));
      slot.waiters.clear();
      abandonLoad(slot);
    }
    changed.notify();
    while ([...slots.values()].some((slot) => slot.leases > 0) && !tooLong.signal.aborted) {
      await changed.next(tooLong.signal).catch(() => {});
    }
    cancel();
    await Promise.all([...slots.values()].map((slot) => unloadNow(slot, "the server ends")));
  }

  return {
    list: () => catalog.list(),
    find: (name) => catalog.find(name),
    acquire,
    loaded: () => [...slots.values()].flatMap((slot) => loadedModel(slot, clock.now()) ?? []),
    unload,
    remove,
    requireFree: (name) => catalog.requireFree(name),
    close: (drainMs) => (ending ??= end(drainMs)),
  };
}
