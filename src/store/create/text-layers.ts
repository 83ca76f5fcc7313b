import { readFile } from "node:fs/promises";
import { MullError } from "../../spec/errors.ts";
import { shortDigest } from "../digest.ts";
import { CHOSEN_TEMPLATE, type Descriptor, kindOf, layer, type LayerKind } from "../manifest.ts";
import type { ModelStore } from "../model-store.ts";
import { encodeParametersLayer, parseParametersLayer, type Parameters } from "../modelfile/parameters.ts";
import type { Creation } from "./creation.ts";
import type { Recipe } from "./recipe.ts";
import { storeBytes } from "./store-file.ts";

/**
 * The small layers. What the recipe says takes the place of what the base says; parameters do so one by one; licenses
 * add up.
 */
export async function textLayers(
  base: readonly Descriptor[],
  recipe: Omit<Recipe, "from">,
  creation: Pick<Creation, "store" | "pin">,
): Promise<Descriptor[]> {
  const write = async (kind: LayerKind, text: string): Promise<Descriptor> => {
    const { digest, size } = await storeBytes(new TextEncoder().encode(text), creation);
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

  if (Object.keys(recipe.parameters).length === 0) layers.push(...kept("params"));
  else {
    const parameters = { ...(await parametersOfBase(kept("params"), creation.store)), ...recipe.parameters };
    layers.push(await write("params", encodeParametersLayer(parameters)));
  }
  if (recipe.messages.length === 0) layers.push(...kept("messages"));
  else layers.push(await write("messages", JSON.stringify(recipe.messages)));
  const licenses = [...kept("license")];
  for (const license of recipe.licenses) licenses.push(await write("license", license));
  // The same text twice is one license.
  layers.push(...new Map(licenses.map((blob) => [blob.digest, blob])).values());
  return layers;
}

async function parametersOfBase(layers: readonly Descriptor[], store: ModelStore): Promise<Parameters> {
  const last = layers.at(-1);
  if (last === undefined) return {};
  const text = await readFile(store.paths.blob(last.digest), "utf8").catch((cause: unknown) => {
    throw new MullError(
      "invalid_model",
      `The parameters of the model cannot be read: ${shortDigest(last.digest)}.`,
      { cause },
    );
  });
  return parseParametersLayer(text).parameters;
}
