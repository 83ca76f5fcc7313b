import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { MullError } from "../spec/errors.ts";
import type { LoadOptions } from "../spec/options.ts";

/** All files of a model, as absolute paths. */
export interface LoadFiles {
  model: string;
  projector: string | undefined;
  /** All files of the text model in order, where their names do not say so. */
  splitFiles: readonly string[] | undefined;
  adapters: readonly string[];
}

/**
 * What load options name, to files. `model` is the path of a file here; `resolveModel` makes one of a name.
 *
 * @throws MullError `invalid_argument`
 */
export function loadFiles(options: Pick<LoadOptions, keyof LoadFiles>): LoadFiles {
  const splitFiles = options.splitFiles?.map(absolutePath);
  const projector = options.projector === undefined ? undefined : absolutePath(options.projector);
  const adapters = (options.adapters ?? []).map(absolutePath);
  const first = splitFiles?.[0];
  const model = options.model === undefined ? first : absolutePath(options.model);
  if (model === undefined) throw new MullError("invalid_argument", "No file of a model is given.");
  if (splitFiles !== undefined && model !== first) {
    throw new MullError(
      "invalid_argument",
      `model is ${options.model}, but splitFiles begins with ${first}.`,
      {
        hint: "Give all files of the model in order; model is the first of them, or left out.",
      },
    );
  }
  return { model, projector, splitFiles, adapters };
}

/** `~/` is the user's home, as shells have it. */
export function absolutePath(path: string): string {
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
