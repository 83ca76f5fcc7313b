import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";
import type { Creation } from "./creation.ts";
import type { GgufFiles, ModelPart } from "./base.ts";
import { pathOfPart, temporaryFolder } from "./store-file.ts";

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
  parts: readonly ModelPart[],
  type: string,
  projector: boolean,
  creation: Creation,
): Promise<ModelPart> {
  const { weights, allowRequantize = false, signal, say } = creation;
  const paths = parts.map((part) => pathOfPart(part, creation));
  const output = join(await temporaryFolder(creation), "quantized.gguf");
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
  return { path: output, own: true };
}
