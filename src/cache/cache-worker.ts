import { parentPort, workerData } from "node:worker_threads";
import type { CacheReply, CacheRequest, CacheWorkerData } from "./cache-protocol.ts";
import { CacheService } from "./cache-service.ts";
import { DiskCache } from "./disk-cache.ts";

/** Worker entry: all files of the cache are read, written and hashed on this thread. */
const post = (reply: CacheReply, transfer: readonly ArrayBuffer[]): void =>
  parentPort?.postMessage(reply, transfer);
const { directory, limitBytes } = workerData as CacheWorkerData;
const warn = (message: string): void => post({ type: "warning", message }, []);
const service = new CacheService(new DiskCache({ directory, limitBytes, warn }), post);
parentPort?.on("message", (request: CacheRequest) => service.handle(request));
