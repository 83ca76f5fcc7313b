import type { Digest } from "../digest.ts";
import { blobsOf } from "../manifest.ts";
import type { ModelName } from "../model-name.ts";
import type { ManifestScan } from "./manifest-scan.ts";

/** Which models need which blob. */
export function modelsByBlob({ models }: ManifestScan): ReadonlyMap<Digest, readonly ModelName[]> {
  const users = new Map<Digest, ModelName[]>();
  for (const { name, manifest } of models) {
    for (const { digest } of blobsOf(manifest)) {
      const names = users.get(digest) ?? [];
      names.push(name);
      users.set(digest, names);
    }
  }
  return users;
}

/** Whether it is known which blobs are needed: a manifest that cannot be read may need any. */
export function isKnown({ damaged, obstacles }: ManifestScan): boolean {
  return damaged.length === 0 && obstacles.length === 0;
}
