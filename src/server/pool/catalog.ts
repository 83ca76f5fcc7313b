import { BUNDLED_MODELS } from "../../engine/resolve-model.ts";
import { MullError } from "../../spec/errors.ts";
import { nearNames } from "../../spec/near-names.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { listSavedModels, readSavedModel } from "../../store/saved-model.ts";
import type { Logger } from "../logger.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { factsOf } from "./facts-of.ts";
import { canonicalName } from "./model-name.ts";

/** The models that a server could load. */
export interface Catalog {
  /** All whose files are there and sound, newest first. */
  list(): Promise<readonly CatalogEntry[]>;
  /** @throws MullError `model_not_found`, `invalid_model` */
  find(name: string): Promise<CatalogEntry>;
}

export interface CatalogOptions {
  /** Models beside the bundled and the saved ones: name → files. They go before others of the same name. */
  models: Readonly<Record<string, LoadOptions>>;
  /** Where saved models lie: `XDG_DATA_HOME`, `HOME`. */
  env: NodeJS.ProcessEnv;
  log: Logger;
}

/** How to get at one model. */
type Source = { load: LoadOptions } | { saved: string };

/**
 * Looks at the disk each time it is asked, so that a model saved meanwhile is there at once. Requests name models and
 * never files.
 *
 * @throws MullError `invalid_argument` for a model whose name cannot be one
 */
export function createCatalog({ models, env, log }: CatalogOptions): Catalog {
  const fixed = new Map<string, Source>();
  for (const name of BUNDLED_MODELS) fixed.set(`${name}:latest`, { load: { model: name } });
  for (const [key, load] of Object.entries(models)) {
    const name = checkedName(key);
    const same = lookUp(fixed, name);
    if (same !== undefined) fixed.delete(same);
    fixed.set(name, { load });
  }

  /** All models by canonical name. */
  const sources = async (): Promise<Map<string, Source>> => {
    const all = new Map(fixed);
    for (const saved of await listSavedModels(env)) {
      const name = canonicalName(saved);
      if (name !== undefined && lookUp(all, name) === undefined) all.set(name, { saved });
    }
    return all;
  };

  /** Last fault of each model, so that one that stays is told once and not with every list. */
  const reported = new Map<string, string>();

  const report = (name: string, error: unknown): void => {
    const { message } = MullError.wrap(error);
    if (reported.get(name) === message) return;
    reported.set(name, message);
    log.warn("a model cannot be used", { model: name, error: message });
  };

  const open = async (name: string, source: Source): Promise<CatalogEntry> => {
    let load: LoadOptions | undefined = "load" in source ? source.load : undefined;
    try {
      const saved = "saved" in source ? await readSavedModel(source.saved, env) : undefined;
      load ??= saved?.load;
      if (load === undefined) throw notFound(name, []);
      const { bytes, modifiedAt, digest } = await factsOf(load);
      reported.delete(name);
      return {
        name,
        load,
        bytes,
        modifiedAt,
        digest,
        ...(saved === undefined ? {} : { messages: saved.messages, generation: saved.generation }),
        ...(saved?.system === undefined ? {} : { system: saved.system }),
      };
    } catch (error) {
      report(name, error);
      throw error;
    }
  };

  return {
    list: async () => {
      const all = await sources();
      const opened = await Promise.all(
        [...all].map(([name, source]) => open(name, source).catch(() => undefined)),
      );
      const entries = opened.filter((entry) => entry !== undefined);
      return entries.sort(
        (a, b) => b.modifiedAt.getTime() - a.modifiedAt.getTime() || compare(a.name, b.name),
      );
    },
    find: async (name) => {
      const wanted = canonicalName(name);
      if (wanted === undefined) throw notFound(name, []);
      const all = lookUp(fixed, wanted) === undefined ? await sources() : fixed;
      const found = lookUp(all, wanted);
      if (found === undefined) throw notFound(name, nearNames(wanted, all.keys()));
      return open(found, all.get(found) as Source);
    },
  };
}

/** The key that is the same name: letter by letter, or but for case. */
function lookUp(all: ReadonlyMap<string, Source>, name: string): string | undefined {
  if (all.has(name)) return name;
  const lower = name.toLowerCase();
  for (const key of all.keys()) if (key.toLowerCase() === lower) return key;
  return undefined;
}

function checkedName(name: string): string {
  const canonical = canonicalName(name);
  if (canonical !== undefined) return canonical;
  throw new MullError("invalid_argument", `'${name}' cannot be the name of a model.`, {
    hint: "Names look like name, name:tag or space/name:tag, of letters, digits, '.', '_' and '-'.",
  });
}

function notFound(name: string, near: readonly string[]): MullError {
  return new MullError("model_not_found", `There is no model called "${name.slice(0, 200)}".`, {
    hint:
      near.length > 0
        ? `Did you mean ${near.join(" or ")}?`
        : "Ask for the list of models to see which there are.",
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
