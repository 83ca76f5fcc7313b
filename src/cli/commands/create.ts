import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { createModel } from "../../store/create/create-model.ts";
import { recipeOf } from "../../store/create/recipe.ts";
import { parseModelfile } from "../../store/modelfile/parse-modelfile.ts";
import { openStore } from "../../store/open-store.ts";
import { requireNewName } from "../../store/require-model-name.ts";
import { defaultStoreRoot } from "../../store/store-paths.ts";
import type { CliContext } from "../cli-context.ts";
import { createPaint } from "../terminal/colour.ts";
import { safeText } from "../terminal/safe-text.ts";
import { TransferView } from "../terminal/transfer-view.ts";
import { pullWithView } from "./pull.ts";

export interface CreateSettings {
  /** Path of the Modelfile; "-" is stdin. Default: ./Modelfile. */
  file?: string;
  /** Type to quantise the text model to, such as q4_K_M. Default: as it is. */
  quantize?: string;
  /** Type to quantise the projector to. Default: as it is. */
  quantizeProjector?: string;
  /** Also what is quantised already. Default false. */
  allowRequantize?: boolean;
}

/**
 * `mull create`: makes a model of a Modelfile.
 *
 * @returns the exit code
 */
export async function create(name: string, settings: CreateSettings, context: CliContext): Promise<number> {
  const { env, stderr, signal } = context;
  const target = await requireNewName(name, env);
  const { text, folder } = await readModelfile(settings.file, context);
  const { modelfile, warnings } = parseModelfile(text, settings.file ?? "Modelfile");
  const recipe = recipeOf(modelfile, folder);
  for (const warning of warnings)
    stderr.write(`${createPaint(stderr, env)("yellow", "Warning:")} ${safeText(warning)}\n`);
  const view = new TransferView(stderr, env);
  try {
    await createModel(openStore({ root: defaultStoreRoot(env) }), target, recipe, {
      env,
      signal,
      onProgress: view.show,
      fetchModel: (missing) => pullWithView(missing, { insecure: false }, context),
      weights: await import("../../engine/quantize-model.ts"),
      ...(settings.quantize === undefined ? {} : { quantize: settings.quantize }),
      ...(settings.quantizeProjector === undefined ? {} : { quantizeProjector: settings.quantizeProjector }),
      ...(settings.allowRequantize === undefined ? {} : { allowRequantize: settings.allowRequantize }),
    });
  } finally {
    view.end();
  }
  return 0;
}

/** Paths in a Modelfile are relative to the folder that it lies in. */
async function readModelfile(
  file: string | undefined,
  { stdin }: CliContext,
): Promise<{ text: Uint8Array; folder: string }> {
  if (file === "-") {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stdin as AsyncIterable<Uint8Array | string>) chunks.push(Buffer.from(chunk));
    return { text: Buffer.concat(chunks), folder: process.cwd() };
  }
  const path = resolve(file ?? "Modelfile");
  try {
    return { text: await readFile(path), folder: dirname(path) };
  } catch (cause) {
    throw new MullError("invalid_argument", `There is no Modelfile at '${file ?? "./Modelfile"}'.`, {
      hint: 'Name it with -f; its first line says what to begin with, such as "FROM ./model.gguf" or "FROM llava".',
      cause,
    });
  }
}
