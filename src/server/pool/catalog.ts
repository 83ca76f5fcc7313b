import { MullError } from "../../spec/errors.ts";
import { nearNames } from "../../spec/near-names.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { BUNDLED_MODELS } from "../../store/bundled-models.ts";
import { hexOf } from "../../store/digest.ts";
import { formatModelName, parseModelName } from "../../store/model-name.ts";
import type { ModelSetup } from "../../store/model-setup.ts";
import type { ModelStore, StoredModel } from "../../store/model-store.ts";
import { openStoredModel } from "../../store/open-stored-model.ts";
import { listSavedModels, readSavedModel } from "../../store/saved-model.ts";
import type { Logger } from "../logger.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { canonicalName } from "./model-name.ts";
import { factsOf } from "./facts-of.ts";

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
  store: ModelStore;
  log: Logger;
}

/** How to get at one model. */
type Source = { load: LoadOptions } | { saved: string } | { stored: StoredModel };

interface Candidate {
  /** Canonical. */
  name: string;
  source: Source;
}

/**
 * Looks at the disk each time it is asked, so that a model saved meanwhile is there at once. Requests name models and
 * never files.
 *
 * @throws MullError `invalid_argument` for a model whose name cannot be one
 */
export function createCatalog({ models, env, store, log }: CatalogOptions): Catalog {
  const fixed = new Map<string, Candidate>();
  for (const name of BUNDLED_MODELS) add(fixed, `${name}:latest`, { load: { model: name } });
  for (const [key, load] of Object.entries(models)) {
    const name = checkedName(key);
    fixed.delete(name.toLowerCase());
    add(fixed, name, { load });
  }

  const savedCandidates = async (): Promise<[name: string, source: Source][]> => {
    const names = (await listSavedModels(env)).map((saved) => [canonicalName(saved), saved] as const);
    return names.flatMap(([name, saved]) => (name === undefined ? [] : [[name, { saved }]]));
  };

  /** All models; of several of one name, the first. */
  const candidates = async (): Promise<ReadonlyMap<string, Candidate>> => {
    const all = new Map(fixed);
    for (const [name, source] of await savedCandidates()) add(all, name, source);
    for (const stored of await store.list()) add(all, formatModelName(stored.name), { stored });
    return all;
  };

  const lookUp = async (wanted: string): Promise<Candidate | undefined> => {
    const key = wanted.toLowerCase();
    const known = fixed.get(key);
    if (known !== undefined) return known;
    const saved = (await savedCandidates()).find(([name]) => name.toLowerCase() === key);
    if (saved !== undefined) return { name: saved[0], source: saved[1] };
    const name = parseModelName(wanted);
    const stored = name === undefined ? undefined : await store.find(name);
    return stored === undefined ? undefined : { name: formatModelName(stored.name), source: { stored } };
  };

  /** Last fault of each model, so that one that stays is told once and not with every list. */
  const reported = new Map<string, string>();

  const report = (name: string, error: unknown): void => {
    const { message } = MullError.wrap(error);
    if (reported.get(name) === message) return;
    reported.set(name, message);
    log.warn("a model cannot be used", { model: name, error: message });
  };

  const setupOf = async (name: string, source: Source): Promise<Omit<ModelSetup, "name" | "place">> => {
    if ("load" in source) return source;
    if ("stored" in source) return openStoredModel(store, source.stored);
    const saved = await readSavedModel(source.saved, env);
    if (saved === undefined) throw notFound(name, []);
    return saved;
  };

  const open = async (name: string, source: Source): Promise<CatalogEntry> => {
    try {
      const { load, system, messages, generation, licenses } = await setupOf(name, source);
      const facts = await factsOf(load);
      reported.delete(name);
      const { bytes, modifiedAt, digest } =
        "stored" in source ? { ...source.stored, digest: hexOf(source.stored.digest) } : facts;
      return {
        name,
        load,
        bytes,
        modifiedAt,
        digest,
        ...(messages === undefined ? {} : { messages }),
        ...(generation === undefined ? {} : { generation }),
        ...(system === undefined ? {} : { system }),
        ...(licenses === undefined ? {} : { licenses }),
      };
    } catch (error) {
      report(name, error);
      throw error;
    }
  };

  return {
    list: async () => {
      const opened = await Promise.all(
        [...(await candidates()).values()].map(({ name, source }) =>
          open(name, source).catch(() => undefined),
        ),
      );
      const entries = opened.filter((entry) => entry !== undefined);
      return entries.sort(
        (a, b) => b.modifiedAt.getTime() - a.modifiedAt.getTime() || compare(a.name, b.name),
      );
    },
    find: async (name) => {
      const wanted = canonicalName(name);
      if (wanted === undefined) throw notFound(name, []);
      const found = await lookUp(wanted);
      if (found !== undefined) return open(found.name, found.source);
      const names = [...(await candidates()).values()].map((candidate) => candidate.name);
      throw notFound(name, nearNames(wanted, names));
    },
  };
}

/** Under its name without case: names that differ in nothing else are one. The first of a name stays. */
function add(all: Map<string, Candidate>, name: string, source: Source): void {
  const key = name.toLowerCase();
  if (!all.has(key)) all.set(key, { name, source });
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
