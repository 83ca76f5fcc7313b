import type { AcquireOptions } from "../model-pool.ts";
import { parseKeepAlive, type WireKeepAlive } from "./keep-alive.ts";

/** @throws MullError `invalid_argument` for a `keep_alive` that is no duration */
export function acquireOptions(
  keepAlive: WireKeepAlive | null | undefined,
  contextLength: number | undefined,
): AcquireOptions {
  return {
    ...(keepAlive == null ? {} : { keepAliveMs: parseKeepAlive(keepAlive) }),
    ...(contextLength === undefined ? {} : { contextLength }),
  };
}
