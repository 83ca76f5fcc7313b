import { existsSync } from "node:fs";
import { MullError } from "../spec/errors.ts";
import type { LoadOptions } from "../spec/options.ts";
import { bundledModel } from "./bundled-models.ts";
import { absolutePath, type LoadFiles, loadFiles } from "./load-files.ts";
import type { ModelSetup } from "./model-setup.ts";
import { type ModelReference, parseReference } from "./reference.ts";

/**
 * A model that needs no look into a store: one that ships with mull, or files. Undefined for any other name.
 *
 * @throws MullError `invalid_argument` for what is no reference
 */
export function locateModel(options: Pick<LoadOptions, "model" | "splitFiles">): ModelSetup | undefined {
  const { model: text, splitFiles } = options;
  if (splitFiles !== undefined) return fileSetup(text ?? splitFiles[0] ?? "");
  const reference = referenceOf(text ?? "pico");
  if (reference.kind === "path") return fileSetup(reference.path);
  const load = reference.kind === "registry" ? bundledModel(reference.name) : undefined;
  if (load === undefined) return undefined;
  return { name: (text ?? "pico").replace(/:latest$/i, "").toLowerCase(), place: "bundled", load };
}

/**
 * The files that these options name, for whoever looks at them without loading them.
 *
 * @throws MullError `model_not_found` for a name that only a store could know
 */
export function filesOfModel(options: LoadOptions): LoadFiles {
  const located = locateModel(options);
  if (located === undefined) {
    throw new MullError("model_not_found", `There is no model called "${options.model}".`);
  }
  const { projector, splitFiles, adapters } = options;
  return loadFiles({
    ...located.load,
    ...(projector === undefined ? {} : { projector }),
    ...(splitFiles === undefined ? {} : { splitFiles }),
    ...(adapters === undefined ? {} : { adapters }),
  });
}

export function fileSetup(path: string): ModelSetup {
  return { name: path, place: "file", load: { model: absolutePath(path) } };
}

/** What cannot be a name may still be a file that somebody called so. */
function referenceOf(text: string): ModelReference {
  try {
    return parseReference(text);
  } catch (error) {
    if (MullError.is(error) && text !== "" && existsSync(text)) return { kind: "path", path: text };
    throw error;
  }
}
