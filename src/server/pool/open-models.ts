import type { Model } from "../../spec/model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { ModelStore } from "../../store/model-store.ts";
import { openStore } from "../../store/open-store.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { Logger } from "../logger.ts";
import type { ModelPool } from "../model-pool.ts";
import type { ServerOptions } from "../server-options.ts";
import { type Catalog, createCatalog } from "./catalog.ts";
import { createModelPool } from "./create-model-pool.ts";
import { estimateLoad } from "./estimate-load.ts";
import { rememberBriefly } from "./remember-briefly.ts";
import { watchStore } from "./watch-store.ts";

export interface OpenModelsOptions {
  options: ServerOptions;
  /** Where the store and the saved models are. */
  env: NodeJS.ProcessEnv;
  log: Logger;
  load: (options: LoadOptions) => Promise<Model>;
}

/**
 * The store of a server and the pool of models that it can load. What is looked up is remembered for a second; what is
 * changed through this store or this pool counts at once.
 *
 * @throws MullError `model_not_found` and `invalid_model` for a model that was named in `options.models`
 */
export async function openModels({
  options,
  env,
  log,
  load,
}: OpenModelsOptions): Promise<{ store: ModelStore; models: ModelPool }> {
  const store = watchStore(openStore({ root: defaultStoreRoot(env) }), () => find.forget());
  const disk = createCatalog({ models: options.models, env, store, log });
  const find = rememberBriefly(
    (name: string) => disk.find(name),
    (name) => name,
  );
  const catalog: Catalog = {
    ...disk,
    find,
    remove: async (name) => {
      try {
        await disk.remove(name);
      } finally {
        find.forget();
      }
    },
  };
  // Whoever named a file wants to hear now that it is not there.
  for (const name of Object.keys(options.models)) await catalog.find(name);
  return { store, models: createModelPool(options, { load, catalog, log, estimate }) };
}

// Models may share their files and differ in their options.
const estimate = rememberBriefly(estimateLoad, ({ digest, load }, contextLength, parallel) =>
  JSON.stringify([digest, load, contextLength, parallel]),
);
