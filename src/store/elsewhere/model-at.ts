import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { MullError } from "../../spec/errors.ts";
import { chooseProjector } from "../gguf-files/choose-projector.ts";
import { groupGgufs, missingParts } from "../gguf-files/gguf-group.ts";
import { expandHome } from "../hugging-face/hub.ts";
import { type FoundModel, printable } from "./found-model.ts";
import { foundGgufs, ggufsAmong, isGguf } from "./found-ggufs.ts";
import { walkFolder } from "./walk-folder.ts";

/** A model that lies somewhere, in nobody's store. */
export type LocalModel = Omit<FoundModel, "source">;

const MOST_SHOWN = 20;

/**
 * The model at a path: a GGUF file with the other parts and the projector that lie beside it by name, or a folder that
 * holds one model.
 *
 * @param env `~` is its HOME
 * @throws MullError `model_not_found`; `invalid_model` (parts are missing); `invalid_argument` (several models)
 */
export async function modelAt(path: string, env: NodeJS.ProcessEnv): Promise<LocalModel> {
  const full = resolve(expandHome(path, env));
  const stats = await stat(full).catch((cause: unknown) => {
    throw new MullError("model_not_found", `${path}: no such file`, { hint: "Check the path.", cause });
  });
  return stats.isDirectory() ? modelInFolder(full, path) : modelOfFile(full, stats);
}

async function modelOfFile(path: string, stats: { size: number; mtime: Date }): Promise<LocalModel> {
  const folder = dirname(path);
  const name = basename(path);
  const files = await walkFolder(folder, { depth: 1, wants: isGguf });
  const groups = groupGgufs(files.map(({ relative }) => relative));
  const group = groups.find(({ parts }) => parts.includes(name));
  // A file under another name, such as a blob of a store.
  if (group === undefined) {
    return { name: printable(name), kind: "gguf", model: [path], bytes: stats.size, modifiedAt: stats.mtime };
  }
  const missing = missingParts(group);
  if (missing.length > 0) {
    throw new MullError(
      "invalid_model",
      `${group.count - group.parts.length} of the model's ${group.count} parts are missing beside ${path}, such as ${printable(missing[0] ?? "")}.`,
      { hint: "All parts must lie in one folder, under their own names." },
    );
  }
  const projector = group.role === "projector" ? undefined : chooseProjector(groups, group);
  const used = files.filter(({ relative }) =>
    [...group.parts, ...(projector?.parts ?? [])].includes(relative),
  );
  return {
    name: printable(name),
    kind: "gguf",
    model: group.parts.map((part) => join(folder, part)),
    bytes: used.reduce((sum, { size }) => sum + size, 0),
    modifiedAt: new Date(Math.max(...used.map(({ modifiedMs }) => modifiedMs))),
    ...(projector === undefined ? {} : { projector: join(folder, projector.parts[0] ?? "") }),
    ...(group.quantization === undefined ? {} : { quantization: group.quantization }),
  };
}

async function modelInFolder(folder: string, shown: string): Promise<LocalModel> {
  const wants = (name: string): boolean => isGguf(name) || /\.(?:safetensors|json)$/.test(name);
  const files = await walkFolder(folder, { depth: 2, wants });
  const models = await foundGgufs(ggufsAmong(files), "llama.cpp", ({ parts }) => ({ name: parts[0] ?? "" }));
  const [model, second] = models;
  if (model !== undefined && second === undefined) return model;
  if (model !== undefined) {
    const names = models.slice(0, MOST_SHOWN).map(({ name }) => name);
    throw new MullError("invalid_argument", `${shown} holds ${models.length} models: ${names.join(", ")}.`, {
      hint: `Give the file, such as ${join(shown, names[0] ?? "")}`,
    });
  }
  const weights = files.filter(({ relative }) => relative.endsWith(".safetensors"));
  if (weights.length === 0) {
    throw new MullError("model_not_found", `${shown} holds no GGUF file of a text model.`, {
      hint: "Give a .gguf file.",
    });
  }
  return {
    name: printable(basename(folder)),
    kind: "folder",
    folder,
    model: [],
    bytes: weights.reduce((sum, { size }) => sum + size, 0),
    modifiedAt: new Date(Math.max(...weights.map(({ modifiedMs }) => modifiedMs))),
  };
}
