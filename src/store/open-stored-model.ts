import { readFile } from "node:fs/promises";
import { MullError } from "../spec/errors.ts";
import { shortDigest } from "./digest.ts";
import {
  CHOSEN_TEMPLATE,
  type Descriptor,
  kindOf,
  type LayerKind,
  layersOf,
  type Manifest,
} from "./manifest.ts";
import { formatModelName } from "./model-name.ts";
import { readSettings, type SettingTexts } from "./model-settings.ts";
import type { ModelSetup } from "./model-setup.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";

/** A template, a licence, a system message: more is no text that a person wrote. */
const MOST_TEXT_BYTES = 4 * 1024 * 1024;

/** Layers that change what a model does, and that mull does not know: such a model is not run as if it had none. */
const UNKNOWN_BUT_NEEDED: readonly string[] = ["tensor", "draft"];

export interface OpenStoredOptions {
  signal?: AbortSignal;
  /** Told before a file is hashed, which takes seconds. */
  onCheck?: (blob: Descriptor) => void;
  /** Files that nothing vouches for: hashed, or taken as they are by whoever only looks at them. Default "check". */
  unverified?: "check" | "accept";
}

/**
 * A model of a store, ready to be loaded. Its large files are not read, unless nothing vouches for one: that is
 * hashed, once.
 *
 * @throws MullError `invalid_model` when a blob is missing or damaged, and says how to get it again
 */
export async function openStoredModel(
  store: ModelStore,
  stored: StoredModel,
  options: OpenStoredOptions = {},
): Promise<ModelSetup> {
  const name = formatModelName(stored.name);
  const { manifest } = stored;
  requireRunnable(manifest, name);
  for (const blob of manifest.layers) await requireIntact(store, name, blob, options);

  const files = (kind: LayerKind): string[] =>
    layersOf(manifest, kind).map(({ digest }) => store.paths.blob(digest));
  const [model = "", ...moreParts] = files("model");
  const projectors = files("projector");
  const adapters = files("adapter");
  const settings = readSettings(await readTexts(store, manifest, name), name);
  return {
    name,
    place: "store",
    ...settings,
    load: {
      model,
      ...(moreParts.length === 0 ? {} : { splitFiles: [model, ...moreParts] }),
      ...(projectors[0] === undefined ? {} : { projector: projectors[0] }),
      ...(adapters.length === 0 ? {} : { adapters }),
      ...settings.load,
    },
  };
}

/** @throws MullError `invalid_model` for a model that is nothing that mull could load, however intact */
export function requireRunnable(manifest: Manifest, name: string): void {
  const foreign = manifest.layers.find((layer) => UNKNOWN_BUT_NEEDED.includes(kindOf(layer) ?? ""));
  if (foreign !== undefined) {
    throw new MullError(
      "invalid_model",
      `${name} has a layer of type ${foreign.mediaType}, which mull does not run.`,
      { hint: "mull runs models in GGUF files. Another tag of this model may have one." },
    );
  }
  if (layersOf(manifest, "model").length === 0)
    throw new MullError("invalid_model", `${name} has no weights: its manifest names no model layer.`);
  const { length } = layersOf(manifest, "projector");
  if (length > 1) throw new MullError("invalid_model", `${name} has ${length} projectors; mull runs one.`);
}

async function requireIntact(
  store: ModelStore,
  name: string,
  blob: Descriptor,
  { signal, onCheck, unverified = "check" }: OpenStoredOptions,
): Promise<void> {
  const state = await store.blobState(blob);
  if (state === "intact" || (state === "unverified" && unverified === "accept")) return;
  if (state === "unverified") onCheck?.(blob);
  if (state === "unverified" && (await store.checkBlob(blob, signal))) return;
  const problem = state === "absent" ? "is missing" : "is damaged";
  throw new MullError(
    "invalid_model",
    `${name}: its ${kindOf(blob) ?? "file"} ${shortDigest(blob.digest)} ${problem}.`,
    {
      hint: `Get it again with: mull pull ${name}`,
    },
  );
}

/** The small layers; of several of a kind the last counts, but for messages and licenses. */
async function readTexts(store: ModelStore, manifest: Manifest, name: string): Promise<SettingTexts> {
  const texts = (kind: LayerKind): Promise<string[]> =>
    Promise.all(layersOf(manifest, kind).map((layer) => readText(store, layer, `${name}: its ${kind}`)));
  const [template, prompt, system, params, messages, licenses] = await Promise.all(
    (["template", "prompt", "system", "params", "messages", "license"] as const).map(texts),
  );
  const chosen = layersOf(manifest, "template").at(-1)?.annotations?.[CHOSEN_TEMPLATE.key];
  return {
    // "prompt" is what templates were called before there were conversations.
    template: template?.at(-1) ?? prompt?.at(-1),
    chosenTemplate: chosen === CHOSEN_TEMPLATE.value,
    system: system?.at(-1),
    params: params?.at(-1),
    messages: messages ?? [],
    licenses: licenses ?? [],
  };
}

async function readText(store: ModelStore, { digest, size }: Descriptor, what: string): Promise<string> {
  if (size > MOST_TEXT_BYTES)
    throw new MullError("invalid_model", `${what} has ${size} bytes: it is no text.`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(store.paths.blob(digest)));
  } catch (cause) {
    throw new MullError("invalid_model", `${what} cannot be read as text.`, { cause });
  }
}
