import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import type { StoredFile } from "../gguf-manifest.ts";
import type { Creation } from "./creation.ts";
import type { GgufFiles } from "./base.ts";
import { adoptFile } from "./store-file.ts";

/** The text model, the projector, or both in the types that were asked for. */
export async function quantizeBase(ggufs: GgufFiles, creation: Creation): Promise<GgufFiles> {
  const { quantize, quantizeProjector } = creation;
  if (quantizeProjector !== undefined && ggufs.projectors.length === 0) {
    throw new MullError("invalid_argument", "There is no projector to quantise: the model only reads text.");
  }
  const anew = (
    files: GgufFiles["model"],
    type: string | undefined,
    projector: boolean,
  ): Promise<GgufFiles["model"]> =>
    type === undefined
      ? Promise.resolve(files)
      : Promise.all(files.map(async (parts) => [await quantizeOne(parts, type, projector, creation)]));
  return {
    ...ggufs,
    model: await anew(ggufs.model, quantize, false),
    projectors: await anew(ggufs.projectors, quantizeProjector, true),
  };
}

async function quantizeOne(
  parts: readonly StoredFile[],
  type: string,
  projector: boolean,
  creation: Creation,
): Promise<StoredFile> {
  const { store, weights, allowRequantize = false, signal, say } = creation;
  const paths = parts.map(({ digest }) => store.paths.blob(digest));
  const folder = await store.temporaryFolder();
  try {
    const output = join(folder, "quantized.gguf");
    const status = `quantizing ${projector ? "projector" : "model"} to ${type}`;
    await weights.quantizeModel({
      input: paths[0] ?? "",
      ...(paths.length > 1 ? { splitFiles: paths } : {}),
      output,
      type,
      projector,
      allowRequantize,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (completed, total) => say({ status, completed, total }),
    });
    return await adoptFile(output, creation);
  } finally {
    await store.removeTemporary(folder);
  }
}
