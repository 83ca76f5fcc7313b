import { resolve } from "node:path";
import { fileSystem } from "./disk/file-system.ts";
import { newestFirst, scanManifests } from "./disk/manifest-scan.ts";
import { storeError } from "./disk/store-error.ts";
import type { DamagedModel, StoredModel } from "./model-store.ts";
import { storePaths } from "./store-paths.ts";

/**
 * What `list()` and `damaged()` of a store say, for a program that does nothing else: all that can change a store is
 * not even loaded.
 *
 * @throws MullError `store_unavailable`
 */
export async function listModels(
  root: string,
): Promise<{ models: readonly StoredModel[]; damaged: readonly DamagedModel[] }> {
  const paths = storePaths(resolve(root));
  try {
    const { models, damaged } = await scanManifests(fileSystem, paths.manifests);
    return { models: newestFirst(models), damaged };
  } catch (error) {
    throw storeError(error, paths.root);
  }
}
