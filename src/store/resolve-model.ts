import { existsSync } from "node:fs";
import { MullError } from "../spec/errors.ts";
import { nearNames } from "../spec/near-names.ts";
import { BUNDLED_MODELS } from "./bundled-models.ts";
import { fileSetup, locateModel } from "./locate-model.ts";
import { formatModelName } from "./model-name.ts";
import type { ModelSetup } from "./model-setup.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";
import { type OpenStoredOptions, openStoredModel } from "./open-stored-model.ts";
import { openStore } from "./open-store.ts";
import { type ModelReference, nameOf, parseReference } from "./reference.ts";
import { listSavedModels, readSavedModel, type SavedModel } from "./saved-model.ts";
import { defaultStoreRoot } from "./store-paths.ts";

export interface ResolveOptions extends OpenStoredOptions {
  env: NodeJS.ProcessEnv;
  /** Default: that of `env`. */
  store?: ModelStore;
}

/**
 * What a person wrote to a model that can be loaded. A name is looked for among the bundled models, the saved ones,
 * in the store, then where other programs keep theirs; nothing is downloaded.
 *
 * @throws MullError `model_not_found` with near names and how to get the model; `invalid_model` for a damaged one;
 *   `invalid_argument` for what is no reference
 */
export async function resolveModel(text: string, options: ResolveOptions): Promise<ModelSetup> {
  const located = locateModel({ model: text });
  if (located !== undefined) return located;
  const saved = await readSavedModel(text, options.env);
  if (saved === undefined) return resolveNamed(text, options);
  const { model = "pico" } = saved.load;
  // What was talked with is no saved conversation, even if one was saved under its name since.
  const base = locateModel({ model }) ?? (await resolveNamed(model, options));
  return withSaved(base, saved, text);
}

/** A model with what was set and said in a conversation with it. */
function withSaved(base: ModelSetup, saved: SavedModel, name: string): ModelSetup {
  const { parameters: _, ...kept } = base;
  const { model: __, ...load } = saved.load;
  return {
    ...kept,
    name,
    place: "saved",
    load: { ...base.load, ...load },
    generation: { ...base.generation, ...saved.generation },
    messages: [...(base.messages ?? []), ...saved.messages],
    ...(saved.system === undefined ? {} : { system: saved.system }),
  };
}

/** A name that stands for something in a store. */
async function resolveNamed(text: string, options: ResolveOptions): Promise<ModelSetup> {
  const reference = parseReference(text);
  const store = options.store ?? openStore({ root: defaultStoreRoot(options.env) });
  const stored =
    reference.kind === "digest"
      ? await store.findByDigest(reference.digest)
      : await findByName(store, reference);
  if (stored !== undefined) return openStoredModel(store, stored, options);
  const { findElsewhere } = await import("./elsewhere/find-elsewhere.ts");
  const found = await findElsewhere(text, options.env);
  if (found !== undefined) {
    const { openFoundModel } = await import("./elsewhere/open-found-model.ts");
    return openFoundModel(found);
  }
  // A file without an ending, in the folder that one is in.
  if (existsSync(text)) return fileSetup(text);
  throw await unknownModel(text, reference, store, options.env);
}

function findByName(store: ModelStore, reference: ModelReference): Promise<StoredModel | undefined> {
  const name = nameOf(reference);
  return name === undefined ? Promise.resolve(undefined) : store.find(name);
}

async function unknownModel(
  text: string,
  reference: ModelReference,
  store: ModelStore,
  env: NodeJS.ProcessEnv,
): Promise<MullError> {
  const stored = await store.list().catch(() => []);
  const names = [
    ...BUNDLED_MODELS,
    ...(await listSavedModels(env)),
    ...stored.map(({ name }) => formatModelName(name).replace(/:latest$/, "")),
  ];
  const wanted = text.replace(/:latest$/i, "");
  const near = nearNames(wanted, names);
  const isTypo = near.some((name) => couldBeMeant(wanted, name));
  const hints = [
    ...(near.length > 0 ? [`Did you mean ${near.join(" or ")}?`] : []),
    ...(reference.kind === "digest" ? [] : [`To download it: mull pull ${text}.`]),
    "A model on disk is given by the path of its .gguf file, with --projector for its mmproj file.",
  ];
  return new MullError("model_not_found", `There is no model called "${text}".`, {
    hint: hints.join(" "),
    details: { near, canBePulled: "name" in reference && !isTypo },
  });
}

/** Another number is another version or size, and another tag is asked for on purpose: no typing error. */
function couldBeMeant(wanted: string, name: string): boolean {
  const figures = (text: string): string => text.replaceAll(/\D+/g, " ").trim();
  const tag = (text: string): string => /:([^/]*)$/.exec(text)?.[1]?.toLowerCase() ?? "";
  return figures(wanted) === figures(name) && tag(wanted) === tag(name);
}
