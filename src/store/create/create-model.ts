import { readFile } from "node:fs/promises";
import { MullError } from "../../spec/errors.ts";
import { shortDigest } from "../digest.ts";
import { manifestOfGgufs, type StoredFile } from "../gguf-manifest.ts";
import { CHOSEN_TEMPLATE, type Descriptor, kindOf, layer, type LayerKind } from "../manifest.ts";
import type { ModelName } from "../model-name.ts";
import type { ModelStore, StoredModel } from "../model-store.ts";
import { encodeParametersLayer, parseParametersLayer, type Parameters } from "../modelfile/parameters.ts";
import type { CreateOptions, Creation } from "./creation.ts";
import { type GgufFiles, gatherBase, storeFile } from "./gather-base.ts";
import { quantizeBase } from "./quantize-base.ts";
import type { Recipe } from "./recipe.ts";

/**
 * Makes a model of a recipe: gathers its files in the store (converting and quantising where asked), writes what is set
 * for it as layers, then its manifest. A crash leaves at most blobs that nothing names.
 *
 * @throws MullError `invalid_argument`, `invalid_model`, `model_not_found`, `insufficient_storage`, `aborted`
 */
export async function createModel(
  store: ModelStore,
  name: ModelName,
  recipe: Recipe,
  options: CreateOptions,
): Promise<StoredModel> {
  const { onProgress: say = () => {}, signal } = options;
  const pin = await store.pin();
  try {
    const creation: Creation = { ...options, store, pin, say };
    say({ status: "gathering model components" });
    const base = await gatherBase(recipe.from, creation);
    const gathered = await withAddedFiles(base.ggufs, recipe, creation);
    const ggufs = await quantizeBase(gathered, creation);
    const texts = await textLayers(base.texts, recipe, creation);
    const files = [...ggufs.model, ...ggufs.projectors, ...ggufs.adapters];
    const { manifest, bytes } = await manifestOfGgufs(store, files, texts, signal);
    await pin.add([manifest.config.digest]);
    for (const { digest } of manifest.layers) say({ status: `using layer ${shortDigest(digest)}` });
    say({ status: "writing manifest" });
    const stored = await store.writeManifest(name, bytes);
    say({ status: "success" });
    return stored;
  } finally {
    await pin.release();
  }
}

/** A projector takes the place of the base's; adapters come on top of the base's. */
async function withAddedFiles(base: GgufFiles, recipe: Recipe, creation: Creation): Promise<GgufFiles> {
  const adapters: (readonly StoredFile[])[] = [...base.adapters];
  for (const adapter of recipe.adapters) adapters.push([await storeFile(adapter, "adapter", creation)]);
  if (recipe.projector === undefined) return { ...base, adapters };
  return { ...base, adapters, projectors: [[await storeFile(recipe.projector, "projector", creation)]] };
}

/** What the recipe says takes the place of what the base says; licenses add up. */
async function textLayers(
  base: readonly Descriptor[],
  recipe: Recipe,
  { store, pin }: Creation,
): Promise<Descriptor[]> {
  const write = async (kind: LayerKind, text: string): Promise<Descriptor> => {
    const { digest, size } = await store.writeBlob(new TextEncoder().encode(text));
    await pin.add([digest]);
    return layer(kind, digest, size);
  };
  const kept = (kind: LayerKind): readonly Descriptor[] => base.filter((blob) => kindOf(blob) === kind);

  const layers: Descriptor[] = [];
  if (recipe.template === undefined) layers.push(...kept("template"), ...kept("prompt"));
  else {
    const { key, value } = CHOSEN_TEMPLATE;
    layers.push({ ...(await write("template", recipe.template)), annotations: { [key]: value } });
  }
  if (recipe.system === undefined) layers.push(...kept("system"));
  else if (recipe.system !== "") layers.push(await write("system", recipe.system));

  const parameters: Parameters = { ...(await parametersOfBase(kept("params"), store)), ...recipe.parameters };
  if (Object.keys(parameters).length > 0)
    layers.push(await write("params", encodeParametersLayer(parameters)));
  if (recipe.messages.length === 0) layers.push(...kept("messages"));
  else layers.push(await write("messages", JSON.stringify(recipe.messages)));
  layers.push(...kept("license"));
  for (const license of recipe.licenses) layers.push(await write("license", license));
  return layers;
}

async function parametersOfBase(layers: readonly Descriptor[], store: ModelStore): Promise<Parameters> {
  const last = layers.at(-1);
  if (last === undefined) return {};
  const text = await readFile(store.paths.blob(last.digest), "utf8").catch((cause: unknown) => {
    throw new MullError(
      "invalid_model",
      `The parameters of the model cannot be read: ${shortDigest(last.digest)}.`,
      {
        cause,
      },
    );
  });
  return parseParametersLayer(text).parameters;
}
