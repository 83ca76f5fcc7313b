import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MullError } from "../spec/errors.ts";
import { nearNames } from "../spec/near-names.ts";
import type { LoadOptions } from "../spec/options.ts";

export interface ModelFiles {
  /** What the model is called in messages: its name, or the file's. */
  name: string;
  model: string;
  projector: string | undefined;
}

/** All files of a model, as absolute paths. */
export interface LoadFiles extends ModelFiles {
  /** All files of the text model in order, where their names do not say so. */
  splitFiles: readonly string[] | undefined;
  adapters: readonly string[];
}

/** The models that ship in the package, by name: folder `models/<name>/`. */
export const BUNDLED_MODELS: readonly string[] = ["pico"];

/**
 * A model reference to files: the name of a bundled model, or the path of a GGUF file.
 * @throws MullError `model_not_found`, with near names when it looks like a name
 */
export function resolveModel(reference: string, projector?: string): ModelFiles {
  const name = reference.replace(/:latest$/, "").toLowerCase();
  if (BUNDLED_MODELS.includes(name)) {
    const folder = fileURLToPath(new URL(`../../models/${name}/`, import.meta.url));
    return { name, model: join(folder, `${name}.gguf`), projector: join(folder, `${name}-mmproj.gguf`) };
  }
  const looksLikePath = /\.gguf$/i.test(reference) || /^[~.]{0,2}[/\\]/.test(reference);
  if (looksLikePath || existsSync(reference)) {
    return {
      name: reference,
      model: absolute(reference),
      projector: projector === undefined ? undefined : absolute(projector),
    };
  }
  const near = nearNames(reference, BUNDLED_MODELS);
  throw new MullError("model_not_found", `There is no model called "${reference}".`, {
    hint:
      (near.length > 0
        ? `Did you mean ${near.join(" or ")}? `
        : `Available: ${BUNDLED_MODELS.join(", ")}. `) +
      "A model on disk is given by the path of its .gguf file, with --projector for its mmproj file.",
  });
}

/**
 * What load options name, to files.
 * @throws MullError `model_not_found`, `invalid_argument`
 */
export function resolveFiles(options: Omit<LoadOptions, "signal" | "onProgress">): LoadFiles {
  const splitFiles = options.splitFiles?.map(absolute);
  const adapters = (options.adapters ?? []).map(absolute);
  if (splitFiles === undefined) {
    return { ...resolveModel(options.model ?? "pico", options.projector), splitFiles, adapters };
  }
  const [first] = splitFiles;
  if (first === undefined) throw new MullError("invalid_argument", "splitFiles is an empty list.");
  if (options.model !== undefined && absolute(options.model) !== first) {
    throw new MullError(
      "invalid_argument",
      `model is ${options.model}, but splitFiles begins with ${first}.`,
      {
        hint: "Give all files of the model in order; model is the first of them, or left out.",
      },
    );
  }
  const projector = options.projector === undefined ? undefined : absolute(options.projector);
  return { name: options.model ?? first, model: first, projector, splitFiles, adapters };
}

function absolute(path: string): string {
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
