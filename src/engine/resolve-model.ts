import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MullError } from "../spec/errors.ts";
import { nearNames } from "../spec/near-names.ts";

export interface ModelFiles {
  /** What the model is called in messages: its name, or the file's. */
  name: string;
  model: string;
  projector: string | undefined;
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

function absolute(path: string): string {
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
