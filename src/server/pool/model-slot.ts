import type { Model } from "../../spec/model.ts";
import type { CatalogEntry, LoadedModel } from "../model-pool.ts";
import type { LoadEstimate } from "./estimate-load.ts";

/** A request that waits for a model that is being loaded. */
export interface Waiter {
  grant(): void;
  refuse(error: unknown): void;
}

/** One model of the pool, from the moment its load begins until its process has ended. */
export interface ModelSlot {
  entry: CatalogEntry;
  /** Context length that it was asked to have, in tokens. */
  contextLength: number;
  /** What it is thought to take, in bytes. */
  estimatedBytes: number;
  state: "loading" | "ready" | "closing";
  /** There once it was ready. */
  model: Model | undefined;
  /** Cancels the load. */
  abandon: AbortController;
  waiters: Set<Waiter>;
  leases: number;
  /** Requests that wait for it to go. It then takes no new ones of its own, or they might wait for ever. */
  unwelcome: number;
  keepAliveMs: number;
  /** When it is unloaded if nobody uses it until then; milliseconds since 1970. */
  expiresAt: number;
  cancelTimer: (() => void) | undefined;
  /** Grows with each use, over all slots. */
  lastUse: number;
  /** Of a loading slot: settles with the load. Of a closing one: when its process has ended. */
  gone: Promise<void>;
}

/** Nobody uses it, so it may go. */
export function isIdle(slot: ModelSlot): boolean {
  return slot.state === "ready" && slot.leases === 0;
}

/** Its files or options are others by now, or a longer context is asked for than it has. */
export function isOutdated(slot: ModelSlot, entry: CatalogEntry, needs: LoadEstimate): boolean {
  return (
    slot.contextLength < needs.contextLength ||
    slot.entry.digest !== entry.digest ||
    JSON.stringify(slot.entry.load) !== JSON.stringify(entry.load)
  );
}

/** As others may see it at a time in ms. Undefined while it is not ready. */
export function loadedModel(slot: ModelSlot, now: number): LoadedModel | undefined {
  const { state, model, entry, leases, keepAliveMs, expiresAt } = slot;
  if (state !== "ready" || model === undefined) return undefined;
  // While it is used, its time has not begun.
  const end = leases > 0 ? now + keepAliveMs : expiresAt;
  const isFinite = Number.isFinite(end);
  return { entry, model, info: model.info, leases, expiresAt: isFinite ? new Date(end) : undefined };
}

export function leastRecentlyUsed(slots: readonly ModelSlot[]): ModelSlot | undefined {
  return slots.reduce<ModelSlot | undefined>(
    (oldest, slot) => (oldest === undefined || slot.lastUse < oldest.lastUse ? slot : oldest),
    undefined,
  );
}

/**
 * What has to go before one more model of that size can be loaded; undefined when it fits, or when it is alone and
 * waiting could not help. Idle models go first, the least recently used of them before others.
 */
export function findObstacle(
  slots: readonly ModelSlot[],
  bytes: number,
  most: number,
  freeMemory: () => number,
): ModelSlot | undefined {
  const loading = slots.filter((slot) => slot.state === "loading");
  // What they will take is not taken yet.
  const promised = loading.reduce((sum, slot) => sum + slot.estimatedBytes, 0);
  if (slots.length === 0 || (slots.length < most && bytes <= freeMemory() - promised)) return undefined;
  return (
    slots.find((slot) => slot.state === "closing") ??
    leastRecentlyUsed(slots.filter(isIdle)) ??
    leastRecentlyUsed(slots.filter((slot) => slot.state === "ready")) ??
    slots[0]
  );
}
