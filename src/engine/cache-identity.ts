import type { CacheClient } from "../cache/cache-client.ts";

/** How long a request waits for digests that are still being computed: a large file is hashed in the background. */
const PATIENCE_MS = 200;

/** Digests of a model's files. */
export interface FileDigests {
  model: readonly string[];
  projector: readonly string[];
}

/** All that a cache entry depends on beside the prompt itself: files, build, device. */
export interface CacheIdentity {
  /** Name of the model, for `mull cache ls`. */
  model: string;
  device: string;
  engineBuild: string;
  /** Type of the encoder's weights. */
  encoder: string;
  /** Undefined while a large file is being hashed for the first time; the caches on disk are passed over then. */
  digests(): Promise<FileDigests | undefined>;
  /** Waits as long as it takes; undefined if a file cannot be read any more. */
  finalDigests(): Promise<FileDigests | undefined>;
}

export function cacheIdentity(
  cache: CacheClient,
  files: { model: readonly string[]; projector: readonly string[] },
  facts: Pick<CacheIdentity, "model" | "device" | "engineBuild" | "encoder">,
): CacheIdentity {
  const hashAll = (paths: readonly string[]): Promise<string[]> =>
    Promise.all(paths.map((path) => cache.fileDigest(path)));
  let known: FileDigests | undefined;
  let patient = true;
  const hashing = Promise.all([hashAll(files.model), hashAll(files.projector)]).then(
    ([model, projector]) => (known = { model, projector }),
    () => undefined,
  );
  return {
    ...facts,
    async digests() {
      if (known !== undefined || !patient) return known;
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<undefined>(
        (resolve) => (timer = setTimeout(resolve, PATIENCE_MS, undefined)),
      );
      try {
        const digests = await Promise.race([hashing, patience]);
        // One request waits; those after it go without until the digests are there.
        patient = digests !== undefined;
        return digests;
      } finally {
        clearTimeout(timer);
      }
    },
    finalDigests: () => hashing,
  };
}
