import { link, mkdir, symlink } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import type { GgufFiles } from "./base.ts";
import type { Creation } from "./creation.ts";
import type { FileSource } from "./recipe.ts";
import { nameOfSource, pathOf, requireIntact, temporaryFolder } from "./store-file.ts";

/** A folder of safetensors, as GGUF files. */
export async function convertFolder(folder: string, creation: Creation): Promise<GgufFiles> {
  const { say, signal } = creation;
  const { convertModel } = await import("../convert/convert-model.ts");
  const output = await temporaryFolder(creation);
  const { model, projector, warnings } = await convertModel(folder, output, {
    ...(signal === undefined ? {} : { signal }),
    onProgress: (completed, total) => say({ status: "converting model", completed, total }),
  });
  for (const warning of warnings) say({ status: `warning: ${warning}` });
  return {
    model: [[{ path: model, own: true }]],
    projectors: projector === undefined ? [] : [[{ path: projector, own: true }]],
    adapters: [],
  };
}

/** Files of a checkpoint, some of them blobs without names: they get those back, in a folder of links. */
export async function convertFiles(sources: readonly FileSource[], creation: Creation): Promise<GgufFiles> {
  // Without any other name the model is called after its folder.
  const folder = join(await temporaryFolder(creation), "model");
  await mkdir(folder);
  for (const source of sources) {
    const name = nameOfSource(source);
    if (name !== basename(name) || name === "" || name === "." || name === "..") {
      throw new MullError("invalid_argument", `"${name}" cannot be the name of a file.`);
    }
    if ("blob" in source) await requireIntact(source, creation);
    const target = resolve(pathOf(source, creation));
    // Windows lets few users make symbolic links; a hard link works within one disk.
    await symlink(target, join(folder, name)).catch(() => link(target, join(folder, name)));
  }
  return convertFolder(folder, creation);
}
