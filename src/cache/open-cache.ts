import { cacheDirectory } from "./cache-directory.ts";
import type { CacheClient } from "./cache-client.ts";
import { cacheSizeLimit } from "./cache-size.ts";
import { fileSystem } from "./file-system.ts";
import { noCache } from "./no-cache.ts";
import { WorkerCache } from "./worker-cache.ts";

export interface OpenCacheOptions {
  /** False: keep nothing on disk. Default true, unless MULL_CACHE is "off", "0" or "false". */
  diskCache?: boolean;
  /** MULL_CACHE, MULL_CACHE_DIR, MULL_CACHE_SIZE, XDG_CACHE_HOME. Default: the process's. */
  env?: NodeJS.ProcessEnv;
  /** Told, once each, what keeps the cache from its work. Default: a line on stderr. */
  onWarning?: (message: string) => void;
}

/**
 * Opens the cache on disk. Nothing is touched before the first call, which starts the worker. Make that call (for the
 * digest of the model's file) before anything is computed: a thread loads its code through libuv's pool, and waits
 * while native code has it.
 *
 * @throws MullError `invalid_argument` when MULL_CACHE_SIZE is no size
 */
export function openCache(options: OpenCacheOptions = {}): CacheClient {
  const env = options.env ?? process.env;
  const off = ["off", "0", "false"].includes((env["MULL_CACHE"] ?? "").toLowerCase());
  if (options.diskCache === false || off) return noCache;
  const directory = cacheDirectory(env);
  const limitBytes = cacheSizeLimit(fileSystem, directory, env);
  if (limitBytes === 0) return noCache;
  const onWarning = options.onWarning ?? ((message: string) => void process.stderr.write(`${message}\n`));
  return new WorkerCache({ directory, limitBytes, onWarning });
}
