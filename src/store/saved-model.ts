import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { MullError } from "../spec/errors.ts";
import type { SavedModel } from "./parse-saved-model.ts";

export type { SavedModel };

/** Letters, digits, `.`, `_`, `-`, and one tag: safe as a file name on every system. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,99}(:[a-z0-9._-]{1,100})?$/i;

export function isSavedModelName(name: string): boolean {
  return NAME.test(name);
}

/**
 * Writes `$XDG_DATA_HOME/mull/saved/NAME.json` in one step: a reader sees the old file or the new one.
 *
 * @throws MullError `invalid_argument` for a name that cannot be a file name; `internal` when it cannot be written
 */
export async function saveModel(name: string, saved: SavedModel, env: NodeJS.ProcessEnv): Promise<string> {
  if (!isSavedModelName(name)) {
    throw new MullError("invalid_argument", `'${name}' cannot be the name of a saved model.`, {
      hint: "Use letters, digits, '.', '_' and '-', beginning with a letter or digit.",
    });
  }
  const directory = savedModelsDirectory(env);
  const path = fileOf(name, directory);
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(temporary, `${JSON.stringify({ version: 1, ...saved }, null, 2)}\n`, { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new MullError("internal", `'${path}' could not be written: ${(error as Error).message}`, {
      hint: "XDG_DATA_HOME names another place.",
      cause: error,
    });
  }
  return path;
}

/**
 * The saved model of that name, or undefined if there is none.
 *
 * @throws MullError `invalid_model` when the file is damaged
 */
export async function readSavedModel(name: string, env: NodeJS.ProcessEnv): Promise<SavedModel | undefined> {
  if (!isSavedModelName(name)) return undefined;
  const path = fileOf(name, savedModelsDirectory(env));
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new MullError("invalid_model", `'${path}' could not be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const { parseSavedModel } = await import("./parse-saved-model.ts");
  return parseSavedModel(text, path);
}

/** Names of all saved models, sorted. */
export async function listSavedModels(env: NodeJS.ProcessEnv): Promise<string[]> {
  const files = await readdir(savedModelsDirectory(env)).catch(() => []);
  return files
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length).replace("@", ":"))
    .filter(isSavedModelName)
    .sort();
}

export function savedModelsDirectory(env: NodeJS.ProcessEnv): string {
  const configured = env["XDG_DATA_HOME"];
  const data = configured === undefined || configured === "" ? undefined : configured;
  return join(data ?? join(env["HOME"] ?? homedir(), ".local", "share"), "mull", "saved");
}

/** The file of a saved model, which may not be there. */
export function savedModelFile(name: string, env: NodeJS.ProcessEnv): string {
  return fileOf(name, savedModelsDirectory(env));
}

/** @returns false when there is none of that name */
export async function removeSavedModel(name: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  if (!isSavedModelName(name)) return false;
  try {
    await unlink(savedModelFile(name, env));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function fileOf(name: string, directory: string): string {
  // Windows has no ":" in file names.
  return join(directory, `${name.replace(":", "@")}.json`);
}
