import { readFile } from "node:fs/promises";
import { MullError } from "../spec/errors.ts";
import type { Message } from "../spec/message.ts";
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
import type { ModelSetup } from "./model-setup.ts";
import type { ModelStore, StoredModel } from "./model-store.ts";
import { generationOptionsOf, loadOptionsOf, parseParametersLayer } from "./modelfile/parameters.ts";

/** A template, a licence, a system message: more is no text that a person wrote. */
const MOST_TEXT_BYTES = 4 * 1024 * 1024;

/** Layers that change what a model does, and that mull does not know: such a model is not run as if it had none. */
const UNKNOWN_BUT_NEEDED: readonly string[] = ["tensor", "draft"];

/**
 * A model of a store, ready to be loaded. Its large files are not read, unless nothing vouches for one: that is
 * hashed, once.
 *
 * @param onCheck told before a file is hashed, which takes seconds
 * @throws MullError `invalid_model` when a blob is missing or damaged, and says how to get it again
 */
export async function openStoredModel(
  store: ModelStore,
  stored: StoredModel,
  { signal, onCheck }: { signal?: AbortSignal; onCheck?: (blob: Descriptor) => void } = {},
): Promise<ModelSetup> {
  const name = formatModelName(stored.name);
  const { manifest } = stored;
  for (const layer of manifest.layers) {
    const kind = kindOf(layer);
    if (kind === undefined || !UNKNOWN_BUT_NEEDED.includes(kind)) continue;
    throw new MullError(
      "invalid_model",
      `${name} has a layer of type ${layer.mediaType}, which mull does not run.`,
      {
        hint: "mull runs models in GGUF files. Another tag of this model may have one.",
      },
    );
  }
  for (const blob of manifest.layers) await requireIntact(store, name, blob, signal, onCheck);

  const files = (kind: LayerKind): string[] =>
    layersOf(manifest, kind).map(({ digest }) => store.paths.blob(digest));
  const [model, ...moreParts] = files("model");
  if (model === undefined) {
    throw new MullError("invalid_model", `${name} has no weights: its manifest names no model layer.`);
  }
  const projectors = files("projector");
  if (projectors.length > 1) {
    throw new MullError("invalid_model", `${name} has ${projectors.length} projectors; mull runs one.`);
  }
  const adapters = files("adapter");
  const settings = await readSettings(store, manifest, name);
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

async function requireIntact(
  store: ModelStore,
  name: string,
  blob: Descriptor,
  signal: AbortSignal | undefined,
  onCheck: ((blob: Descriptor) => void) | undefined,
): Promise<void> {
  const state = await store.blobState(blob);
  if (state === "intact") return;
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

type Settings = Pick<ModelSetup, "load" | "system" | "generation" | "messages" | "licenses" | "warnings">;

/** What the small layers say. */
async function readSettings(store: ModelStore, manifest: Manifest, name: string): Promise<Settings> {
  const texts = async (kind: LayerKind): Promise<string[]> =>
    Promise.all(layersOf(manifest, kind).map((layer) => readText(store, layer, `${name}: its ${kind}`)));
  const [system, prompt, params, messages, licenses] = await Promise.all([
    texts("system"),
    texts("prompt"),
    texts("params"),
    texts("messages"),
    texts("license"),
  ]);
  const { parameters, warnings } = parseParametersLayer(params.at(-1) ?? "{}");
  const templates = await texts("template");
  // "prompt" is what templates were called before there were conversations.
  const template = templates.at(-1) ?? prompt.at(-1);
  const chosen =
    layersOf(manifest, "template").at(-1)?.annotations?.[CHOSEN_TEMPLATE.key] === CHOSEN_TEMPLATE.value;
  const said = messages.flatMap((text) => readMessages(text, `${name}: its messages`));
  const last = system.at(-1);
  return {
    load: {
      ...(template === undefined ? {} : chosen ? { template } : { fallbackTemplate: template }),
      ...loadOptionsOf(parameters),
    },
    generation: generationOptionsOf(parameters),
    ...(last === undefined ? {} : { system: last }),
    ...(said.length === 0 ? {} : { messages: said }),
    ...(licenses.length === 0 ? {} : { licenses }),
    ...(warnings.length === 0 ? {} : { warnings }),
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

const ROLES: readonly unknown[] = ["system", "user", "assistant"];

function readMessages(text: string, what: string): Message[] {
  const fail = (): never => {
    throw new MullError("invalid_model", `${what} are no list of { role, content }.`);
  };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return fail();
  }
  if (!Array.isArray(list)) return fail();
  return list.map((item: unknown): Message => {
    const { role, content } = (item ?? {}) as Record<string, unknown>;
    if (!ROLES.includes(role) || typeof content !== "string") return fail();
    return { role: role as Message["role"], content } as Message;
  });
}
