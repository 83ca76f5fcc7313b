import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MullError } from "../spec/errors.ts";

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
  const near = nearestNames(reference, BUNDLED_MODELS);
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

/** Names within two edits of a typed one (or half its length, for short names), nearest first. */
export function nearestNames(typed: string, names: readonly string[]): string[] {
  const limit = Math.max(2, Math.floor(typed.length / 2) - 1);
  return names
    .map((name) => ({ name, distance: editDistance(typed.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .map(({ name }) => name);
}

/** Levenshtein distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1];
    for (const [column, other] of [...b].entries()) {
      const substituted = (row[column] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(substituted, (row[column + 1] as number) + 1, (next[column] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
