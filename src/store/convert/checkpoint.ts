import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { readJsonFile } from "./json-file.ts";
import { type StoredTensor, readSafetensors } from "./safetensors.ts";

/** All tensors of a folder, by name, wherever they lie in its files. */
export type Checkpoint = ReadonlyMap<string, StoredTensor>;

const INDEX = "model.safetensors.index.json";

/**
 * Reads the headers of all safetensors files of a folder: those that its index names, else `model*.safetensors`.
 *
 * @throws MullError `model_not_found` for no such folder, or one without weights; `invalid_model`
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const files = await readdir(folder).catch((cause: unknown) => {
    throw new MullError("model_not_found", `There is no folder ${folder}.`, { cause });
  });
  const index = await readIndex(join(folder, INDEX));
  const parts = index === undefined ? findParts(folder, files) : [...new Set(index.values())].toSorted();
  const tensors = new Map<string, StoredTensor>();
  for (const part of parts) {
    for (const tensor of await readSafetensors(join(folder, part))) {
      checkPlace(tensor, part, tensors, index);
      tensors.set(tensor.name, tensor);
    }
  }
  const lost = [...(index?.keys() ?? [])].find((name) => !tensors.has(name));
  if (lost !== undefined) {
    throw invalidModel(join(folder, INDEX), `tensor ${quote(lost)} is not in ${index?.get(lost)}`);
  }
  return tensors;
}

/** File names by tensor name. */
async function readIndex(path: string): Promise<ReadonlyMap<string, string> | undefined> {
  const file = await readJsonFile(path);
  if (file === undefined) return undefined;
  const { weight_map: map } = file.values;
  if (typeof map !== "object" || map === null) throw invalidModel(path, `"weight_map" is missing`);
  const entries = Object.entries(map);
  for (const [name, part] of entries) {
    // The folder's own files only: whoever wrote the index may not point elsewhere.
    const own = typeof part === "string" && /^[\w-][\w.-]*\.safetensors$/.test(part);
    if (!own) {
      throw invalidModel(
        path,
        `tensor ${quote(name)} is in ${quote(String(part))}, not a file of this folder`,
      );
    }
  }
  if (entries.length === 0) throw invalidModel(path, "the index names no tensor");
  return new Map(entries);
}

function findParts(folder: string, files: readonly string[]): readonly string[] {
  const parts = files.filter((file) => /^model[\w.-]*\.safetensors$/.test(file)).toSorted();
  if (parts.length > 0) {
    checkComplete(folder, parts);
    return parts;
  }
  if (files.some((file) => file.startsWith("adapter_model."))) {
    throw new MullError("model_not_found", `${folder} holds an adapter (LoRA), not a whole model.`, {
      hint: "Merge it into its base model first, and convert the result.",
    });
  }
  if (files.some((file) => /^consolidated[\w.-]*\.(safetensors|pth)$/.test(file))) {
    throw new MullError("model_not_found", `${folder} is in its maker's own format (consolidated.*).`, {
      hint: "Get the model in the format of Hugging Face: config.json and model*.safetensors.",
    });
  }
  if (files.some((file) => /\.(bin|pth?|ckpt)$/.test(file))) {
    throw new MullError("model_not_found", `${folder} holds PyTorch pickles, not safetensors.`, {
      hint:
        "Pickles are programs, which mull does not run. Convert them to safetensors first (transformers: " +
        "save_pretrained with safe_serialization=True), or get the model as safetensors.",
    });
  }
  throw new MullError("model_not_found", `${folder} holds no safetensors files.`, {
    hint: "Give the folder with config.json and model*.safetensors.",
  });
}

/** Without an index the names alone tell whether a file is missing: model-00001-of-00003.safetensors. */
function checkComplete(folder: string, parts: readonly string[]): void {
  const count = Number(/-of-(\d+)\.safetensors$/.exec(parts[0] ?? "")?.[1] ?? parts.length);
  if (count === parts.length) return;
  throw new MullError("model_not_found", `${folder} holds ${parts.length} of ${count} safetensors files.`, {
    hint: "Get the others, and the index beside them.",
  });
}

function checkPlace(
  { name, path }: StoredTensor,
  part: string,
  earlier: Checkpoint,
  index: ReadonlyMap<string, string> | undefined,
): void {
  const other = earlier.get(name);
  if (other !== undefined) throw invalidModel(path, `tensor ${quote(name)} is in ${other.path}, too`);
  if (index !== undefined && index.get(name) !== part) {
    const wanted = index.get(name) ?? "no file";
    throw invalidModel(path, `tensor ${quote(name)} is here, and in ${wanted} by the index`);
  }
}
