import { checkTemplate } from "../../chat/check-template.ts";
import { shortDigest } from "../digest.ts";
import { type GgufLayer, modelConfig, readGgufLayer } from "../gguf-layers.ts";
import { manifestOfGgufs } from "../gguf-manifest.ts";
import type { ModelName } from "../model-name.ts";
import type { ModelStore, StoredModel } from "../model-store.ts";
import type { Base, GgufFiles } from "./base.ts";
import type { CreateOptions, Creation } from "./creation.ts";
import { gatherBase, withSaved } from "./gather-base.ts";
import { quantizeBase } from "./quantize-base.ts";
import type { Recipe } from "./recipe.ts";
import { partOfKind, pathOfPart, storeBytes, storeParts } from "./store-file.ts";
import { textLayers } from "./text-layers.ts";

/**
 * Makes a model of a recipe: gathers its files in the store (converting and quantising where asked), writes what is set
 * for it as layers, then its manifest. A crash leaves at most blobs that nothing names.
 *
 * @throws MullError `invalid_argument`, `template_failed`, `invalid_model`, `model_not_found`, `insufficient_storage`,
 *   `aborted`
 */
export async function createModel(
  store: ModelStore,
  name: ModelName,
  recipe: Recipe,
  options: CreateOptions,
): Promise<StoredModel> {
  const { onProgress: say = () => {}, signal, weights, quantize, quantizeProjector } = options;
  if (quantize !== undefined) weights.requireQuantization(quantize, false);
  if (quantizeProjector !== undefined) weights.requireQuantization(quantizeProjector, true);
  if (recipe.template !== undefined) checkTemplate(recipe.template);
  const pin = await store.pin();
  const temporaries: string[] = [];
  try {
    const creation: Creation = { ...options, store, pin, temporaries, say };
    say({ status: "gathering model components" });
    const recipes = await withSaved(recipe, options.env);
    let base = await gatherBase((recipes[0] ?? recipe).from, creation);
    for (const { from: _, ...additions } of recipes) base = await withAdditions(base, additions, creation);
    await requireModel(base.ggufs, creation);
    const ggufs = await storeParts(await quantizeBase(base.ggufs, creation), creation);
    const files = [...ggufs.model, ...ggufs.projectors, ...ggufs.adapters];
    const holding = {
      paths: store.paths,
      writeBlob: (bytes: Uint8Array) => storeBytes(bytes, creation),
    };
    const { manifest, bytes } = await manifestOfGgufs(holding, files, base.texts, signal);
    for (const { digest } of manifest.layers) say({ status: `using layer ${shortDigest(digest)}` });
    signal?.throwIfAborted();
    say({ status: "writing manifest" });
    const stored = await store.writeManifest(name, bytes);
    say({ status: "success" });
    return stored;
  } finally {
    for (const folder of temporaries) await store.removeTemporary(folder);
    await pin.release();
  }
}

/** Whether the files make a model is known by their headers, before gigabytes are read and written. */
async function requireModel({ model, projectors, adapters }: GgufFiles, creation: Creation): Promise<void> {
  const layers: GgufLayer[] = [];
  for (const parts of [...model, ...projectors, ...adapters])
    layers.push(
      await readGgufLayer(
        parts.map((part) => pathOfPart(part, creation)),
        creation,
      ),
    );
  modelConfig(layers, []);
}

async function withAdditions(base: Base, additions: Omit<Recipe, "from">, creation: Creation): Promise<Base> {
  return {
    ggufs: await withAddedFiles(base.ggufs, additions, creation),
    texts: await textLayers(base.texts, additions, creation),
  };
}

/** A projector takes the place of the base's; adapters come on top of the base's. */
async function withAddedFiles(
  base: GgufFiles,
  { adapters, projector }: Omit<Recipe, "from">,
  creation: Creation,
): Promise<GgufFiles> {
  const added = [...base.adapters];
  for (const adapter of adapters) added.push([await partOfKind(adapter, "adapter", creation)]);
  if (projector === undefined) return { ...base, adapters: added };
  const part = await partOfKind(projector, "projector", creation);
  return { ...base, adapters: added, projectors: [[part]] };
}
