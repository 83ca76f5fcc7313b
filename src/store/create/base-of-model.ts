import { MullError } from "../../spec/errors.ts";
import { chooseFound } from "../elsewhere/find-elsewhere.ts";
import type { FoundModel } from "../elsewhere/found-model.ts";
import { listElsewhere } from "../elsewhere/list-elsewhere.ts";
import { bringModel } from "../import-model.ts";
import { locateModel } from "../locate-model.ts";
import { kindOf, layersOf, type Manifest, parseManifest } from "../manifest.ts";
import type { StoredModel } from "../model-store.ts";
import { requireRunnable } from "../open-stored-model.ts";
import { type ModelReference, nameOf, parseReference } from "../reference.ts";
import type { Base } from "./base.ts";
import { baseOfFiles, baseOfFolder } from "./base-of-files.ts";
import type { Creation } from "./creation.ts";

/**
 * A model by name, with all that is set for it: one that ships with mull, one of the store, one that another program
 * keeps, else one that is fetched.
 */
export async function baseOfModel(text: string, creation: Creation): Promise<Base> {
  const located = locateModel({ model: text });
  if (located !== undefined) {
    const { model, projector } = located.load;
    const paths = [model, projector].filter((path) => path !== undefined);
    return {
      ggufs: await baseOfFiles(
        paths.map((path) => ({ path })),
        creation,
      ),
      texts: [],
    };
  }
  const reference = parseReference(text);
  const stored = await findStored(reference, creation);
  if (stored !== undefined) return baseOfManifest(stored.manifest, text, creation);
  const found = chooseFound(await listElsewhere(creation.env), text, reference);
  if (found !== undefined) return baseOfFound(found, creation);
  await creation.fetchModel(text);
  const fetched = await findStored(reference, creation);
  if (fetched !== undefined) return baseOfManifest(fetched.manifest, text, creation);
  throw new MullError("model_not_found", `There is no model called "${text}".`);
}

async function findStored(reference: ModelReference, { store }: Creation): Promise<StoredModel | undefined> {
  if (reference.kind === "digest") return store.findByDigest(reference.digest);
  const name = nameOf(reference);
  return name === undefined ? undefined : store.find(name);
}

/** Layers of a model of the store: the same blobs. */
async function baseOfManifest(manifest: Manifest, name: string, creation: Creation): Promise<Base> {
  const { store, pin, signal } = creation;
  requireRunnable(manifest, name);
  await pin.add(manifest.layers.map(({ digest }) => digest));
  for (const blob of manifest.layers) {
    if (await store.checkBlob(blob, signal)) continue;
    throw new MullError("invalid_model", `${name}: its ${kindOf(blob) ?? "file"} is missing or damaged.`, {
      hint: `Get it again with: mull pull ${name}`,
    });
  }
  const isFile = ["model", "projector", "adapter"];
  return {
    ggufs: {
      model: [layersOf(manifest, "model")],
      projectors: layersOf(manifest, "projector").map((blob) => [blob]),
      adapters: layersOf(manifest, "adapter").map((blob) => [blob]),
    },
    texts: manifest.layers.filter((blob) => !isFile.includes(kindOf(blob) ?? "")),
  };
}

async function baseOfFound(found: FoundModel, creation: Creation): Promise<Base> {
  if (found.problem === undefined && found.kind === "folder" && found.folder !== undefined)
    return { ggufs: await baseOfFolder(found.folder, creation), texts: [] };
  const { store, pin, env, signal, say } = creation;
  const bytes = await bringModel(store, pin, found, { env, signal, onProgress: say });
  return baseOfManifest(parseManifest(bytes, found.name), found.name, creation);
}
