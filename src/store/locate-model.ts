import { existsSync } from "node:fs";
import { MullError } from "../spec/errors.ts";
import type { LoadOptions } from "../spec/options.ts";
import { bundledModel } from "./bundled-models.ts";
import { absolutePath } from "./load-files.ts";
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
