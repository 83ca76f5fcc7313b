import { MullError } from "../../spec/errors.ts";
import { nearNames } from "../../spec/near-names.ts";
import type { LoadOptions } from "../../spec/options.ts";
import { BUNDLED_MODELS } from "../../store/bundled-models.ts";
import { hexOf } from "../../store/digest.ts";
import { formatModelName, parseModelName } from "../../store/model-name.ts";
import type { ModelSetup } from "../../store/model-setup.ts";
import type { ModelStore, StoredModel } from "../../store/model-store.ts";
import { openStoredModel } from "../../store/open-stored-model.ts";
import { requireModelName, requireNewName } from "../../store/require-model-name.ts";
import { resolveModel } from "../../store/resolve-model.ts";
import { listSavedModels, removeSavedModel } from "../../store/saved-model.ts";
import type { Logger } from "../logger.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { canonicalName } from "./model-name.ts";
import { factsOf } from "./facts-of.ts";
import { ListedModels } from "./listed-models.ts";
import { mapInTurn } from "./map-in-turn.ts";

/** The models that a server could load. */
export interface Catalog {
  /** All whose files are there and sound, newest first. */
  list(): Promise<readonly CatalogEntry[]>;
  /** @throws MullError `model_not_found`, `invalid_model` */
  find(name: string): Promise<CatalogEntry>;
  /**
   * Removes a saved model; or one of the store, sound or not, with the files that no other needs.
   *
   * @throws MullError `model_not_found`; `invalid_argument` for what cannot be a name, and for a model that is not of
   *   the disk: a bundled one, or one that the server was given
   */
  remove(name: string): Promise<void>;
  /**
   * Looks that a model of the store would be found by this name.
   *
   * @throws MullError `invalid_argument` when another one of that name goes before it, or it cannot be a name
   */
  requireFree(name: string): Promise<void>;
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

  const savedNames = async (): Promise<{ name: string; saved: string }[]> =>
    (await listSavedModels(env)).flatMap((saved) => {
      const name = canonicalName(saved);
      return name === undefined ? [] : [{ name, saved }];
    });

  /** All models; of several of one name, the first. */
  const candidates = async (): Promise<ReadonlyMap<string, Candidate>> => {
    const all = new Map(fixed);
    for (const { name, saved } of await savedNames()) add(all, name, { saved });
    for (const stored of await store.list()) add(all, formatModelName(stored.name), { stored });
    return all;
  };

  /** Of a canonical name. */
  const findSaved = async (wanted: string): Promise<{ name: string; saved: string } | undefined> => {
    const key = wanted.toLowerCase();
    const names = await savedNames();
    return names.find(({ name }) => name.toLowerCase() === key);
  };

  const lookUp = async (wanted: string): Promise<Candidate | undefined> => {
    const known = fixed.get(wanted.toLowerCase());
    if (known !== undefined) return known;
    const found = await findSaved(wanted);
    if (found !== undefined) return { name: found.name, source: { saved: found.saved } };
    const name = parseModelName(wanted);
    const stored = name === undefined ? undefined : await store.find(name);
    return stored === undefined ? undefined : { name: formatModelName(stored.name), source: { stored } };
  };

  /** Last fault of each model, so that one that stays is told once and not with every list. */
  const reported = new Map<string, string>();

  const report = (name: string, message: string): void => {
    if (reported.get(name) === message) return;
    reported.set(name, message);
    log.warn("a model cannot be used", { model: name, error: message });
  };

  const listed = new ListedModels(store);

  const setupOf = async (
    { source }: Candidate,
    purpose: "use" | "list",
  ): Promise<Omit<ModelSetup, "name" | "place">> => {
    if ("load" in source) return source;
    if ("stored" in source) {
      return purpose === "list" ? listed.open(source.stored) : openStoredModel(store, source.stored);
    }
    const unverified = purpose === "list" ? "accept" : "check";
    return resolveModel(source.saved, { env, store, unverified });
  };

  const open = async (candidate: Candidate, purpose: "use" | "list"): Promise<CatalogEntry> => {
    const { name, source } = candidate;
    try {
      const { load, system, messages, generation, parameters, licenses } = await setupOf(candidate, purpose);
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
        ...(parameters === undefined ? {} : { parameters }),
        ...(system === undefined ? {} : { system }),
        ...(licenses === undefined ? {} : { licenses }),
      };
    } catch (error) {
      report(name, MullError.wrap(error).message);
      throw error;
    }
  };

  return {
    list: async () => {
      for (const { name, problem } of await store.damaged()) report(formatModelName(name), problem);
      const opened = await mapInTurn([...(await candidates()).values()], (candidate) =>
        open(candidate, "list").catch(() => undefined),
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
      if (found !== undefined) return open(found, "use");
      const names = [...(await candidates()).values()].map((candidate) => candidate.name);
      throw notFound(name, nearNames(wanted, names));
    },
    remove: async (text) => {
      const name = requireModelName(text);
      const wanted = formatModelName(name);
      if (fixed.has(wanted.toLowerCase())) throw notOfTheDisk(wanted, "It cannot be removed.");
      const found = await findSaved(wanted);
      if (found === undefined) await store.remove(name);
      else await removeSavedModel(found.saved, env);
    },
    requireFree: async (text) => {
      const name = formatModelName(await requireNewName(text, env));
      if (fixed.has(name.toLowerCase())) throw notOfTheDisk(name, "Choose another name.");
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

function notOfTheDisk(name: string, hint: string): MullError {
  const problem = `${name} ships with mull, or was given to the server when it started.`;
  return new MullError("invalid_argument", problem, { hint });
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
