import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { MullError } from "../spec/errors.ts";
import { nearNames } from "../spec/near-names.ts";
import { BUNDLED_MODELS, bundledModel } from "./bundled-models.ts";
import type { Descriptor } from "./manifest.ts";
import { formatModelName } from "./model-name.ts";
import type { ModelSetup } from "./model-setup.ts";
import type { ModelStore } from "./model-store.ts";
import { openStoredModel } from "./open-stored-model.ts";
import { openStore } from "./open-store.ts";
import { type ModelReference, parseReference } from "./reference.ts";
import { listSavedModels, readSavedModel } from "./saved-model.ts";
import { defaultStoreRoot } from "./store-paths.ts";

export interface ResolveOptions {
  env: NodeJS.ProcessEnv;
  /** Default: that of `env`. */
  store?: ModelStore;
  signal?: AbortSignal;
  /** Told before a file is hashed because nothing vouches for it, which takes seconds. */
  onCheck?: (blob: Descriptor) => void;
}

/**
 * What a person wrote to a model that can be loaded. A name is looked for among the bundled models, the saved ones,
 * in the store, then where other programs keep theirs; nothing is downloaded.
 *
 * @throws MullError `model_not_found` with near names and how to get the model; `invalid_model` for a damaged one;
 *   `invalid_argument` for what is no reference
 */
export async function resolveModel(text: string, options: ResolveOptions): Promise<ModelSetup> {
  const reference = parseReference(text);
  if (reference.kind === "path") return fileSetup(reference.path);
  const bundled = reference.kind === "registry" ? bundledModel(reference.name) : undefined;
  if (bundled !== undefined) return { name: text.replace(/:latest$/i, "").toLowerCase(), place: "bundled", load: bundled };

  const saved = await readSavedModel(text, options.env);
  if (saved !== undefined) return { name: text, place: "saved", ...saved };
  const store = options.store ?? openStore({ root: defaultStoreRoot(options.env) });
  const stored =
    reference.kind === "digest" ? await store.findByDigest(reference.digest) : await store.find(reference.name);
  if (stored !== undefined) return openStoredModel(store, stored, options);
  const { findElsewhere } = await import("./elsewhere/find-elsewhere.ts");
  const found = await findElsewhere(text, options.env);
  if (found !== undefined) return found;
  // A file without an ending, in the folder that one is in.
  if (existsSync(text)) return fileSetup(text);
  throw await unknownModel(text, reference, store, options.env);
}

function fileSetup(path: string): ModelSetup {
  const absolute = resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
  return { name: path, place: "file", load: { model: absolute } };
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
  const near = nearNames(text.replace(/:latest$/, ""), names);
  const hints = [
    ...(near.length > 0 ? [`Did you mean ${near.join(" or ")}?`] : []),
    ...(reference.kind === "digest" ? [] : [`To download it: mull pull ${text}.`]),
    "A model on disk is given by the path of its .gguf file, with --projector for its mmproj file.",
  ];
  return new MullError("model_not_found", `There is no model called "${text}".`, {
    hint: hints.join(" "),
    details: { near },
  });
}
