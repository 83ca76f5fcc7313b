import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { Modelfile, ModelfileMessage } from "../modelfile/modelfile.ts";
import type { Parameters } from "../modelfile/parameters.ts";
import { parseReference } from "../reference.ts";

/** A file that goes into a model: on this disk, or a blob that was uploaded, under the name that it had. */
export type FileSource = { path: string } | { blob: Digest; name: string };

/** What to make a model of. A Modelfile and the body of `/api/create` both come to this. */
export interface Recipe {
  /** A model's name, or files: GGUF files, or a folder or files of safetensors. */
  from: { model: string } | { files: readonly FileSource[] };
  projector?: FileSource;
  adapters: readonly FileSource[];
  /** Go template, Jinja source, or the name of a built-in one. */
  template?: string;
  system?: string;
  parameters: Parameters;
  messages: readonly ModelfileMessage[];
  licenses: readonly string[];
}

/**
 * @param folder that the Modelfile's relative paths begin in
 * @throws MullError `invalid_argument` for files that are not there, and instructions that mull cannot follow
 */
export function recipeOf(modelfile: Modelfile, folder: string): Recipe {
  const { template, system, projector, draft } = modelfile;
  if (draft !== undefined) {
    throw new MullError(
      "invalid_argument",
      "DRAFT names a second model that guesses ahead, which mull does not run.",
      {
        hint: "Leave DRAFT out: the answers are the same.",
      },
    );
  }
  const file = (written: string): FileSource => ({ path: requireFile(written, folder) });
  return {
    from: sourceOf(modelfile.from, folder),
    adapters: modelfile.adapters.map(file),
    parameters: modelfile.parameters,
    messages: modelfile.messages,
    licenses: modelfile.licenses,
    ...(projector === undefined ? {} : { projector: file(projector) }),
    ...(template === undefined ? {} : { template }),
    ...(system === undefined ? {} : { system }),
  };
}

/** What lies in the folder goes before a model of the same name, as with Ollama. */
function sourceOf(written: readonly [string, ...string[]], folder: string): Recipe["from"] {
  const [first] = written;
  if (written.length === 1 && !existsSync(absolute(first, folder))) {
    if (parseDigest(first) !== undefined || parseReference(first).kind !== "path") return { model: first };
  }
  return { files: written.map((path) => ({ path: requireFile(path, folder) })) };
}

function requireFile(written: string, folder: string): string {
  const path = absolute(written, folder);
  if (existsSync(path)) return path;
  throw new MullError("invalid_argument", `The Modelfile names '${written}', which is not there.`, {
    hint: `Looked at ${path}: paths are relative to the folder of the Modelfile.`,
  });
}

function absolute(written: string, folder: string): string {
  return resolve(folder, written.startsWith("~/") ? join(homedir(), written.slice(2)) : written);
}
