import { basename, dirname, join, resolve } from "node:path";
import { type MetadataValue, string, uint32 } from "../../gguf/metadata.ts";
import { MullError } from "../../spec/errors.ts";
import { type JsonFile, readTextFile } from "./json-file.ts";
import type { PlannedTensor, WeightType } from "./planned-tensor.ts";

/** `enum llama_ftype`. */
const FILE_TYPES: Readonly<Record<WeightType, number>> = { f32: 0, f16: 1, q8_0: 7, bf16: 32 };
const MOST_README_BYTES = 4 * 1024 * 1024;

/** What a folder says about its model besides the configuration. */
export interface ModelCard {
  name: string;
  license: string | undefined;
}

/** Name and licence from config.json, the head of README.md, or the folder's own name. */
export async function readModelCard(folder: string, config: JsonFile): Promise<ModelCard> {
  const readme = await readTextFile(join(folder, "README.md"), MOST_README_BYTES).catch(ignoreDamage);
  // The head is YAML, of which only words, and texts in quotes, are looked for.
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme ?? "")?.[1] ?? "";
  const field = (name: string): string | undefined => {
    const line = new RegExp(`^${name}:[ \\t]*(\\S.*?)[ \\t\\r]*$`, "m").exec(head)?.[1] ?? "";
    const text = /^(["'])(.*)\1/.exec(line)?.[2] ?? line.replace(/[ \t]+#.*/, "");
    return text === "" || /^[[{|>&*#]/.test(text) ? undefined : text;
  };
  const given = config.values["_name_or_path"];
  const path = typeof given === "string" ? given.split(/[/\\]/).findLast((part) => part !== "") : undefined;
  const name = field("model_name") ?? path ?? folderName(folder);
  return { name, license: field("license") };
}

/** In Hugging Face's cache the folder is called after a commit; the model's name stands two levels above. */
function folderName(folder: string): string {
  const path = resolve(folder);
  const repository = /^models--(?:.*--)?(.+)$/.exec(basename(dirname(dirname(path))))?.[1];
  return repository ?? (basename(path) || "model");
}

function ignoreDamage(error: unknown): undefined {
  if (MullError.is(error)) return undefined;
  throw error;
}

/** Keys that every GGUF header begins with. */
export function generalKeys(
  architecture: string,
  kind: "model" | "mmproj",
  card: ModelCard,
  tensors: readonly PlannedTensor[],
): [string, MetadataValue][] {
  const elements = tensors.reduce((sum, tensor) => sum + elementsOf(tensor), 0);
  const keys: [string, MetadataValue][] = [
    ["general.architecture", string(architecture)],
    ["general.type", string(kind)],
    ["general.name", string(card.name)],
  ];
  if (kind === "model") keys.push(["general.size_label", string(sizeLabel(elements))]);
  if (card.license !== undefined) keys.push(["general.license", string(card.license)]);
  keys.push(["general.file_type", uint32(FILE_TYPES[mainType(tensors)])]);
  keys.push(["general.quantization_version", uint32(2)]);
  return keys;
}

/** The type that most weights have. */
export function mainType(tensors: readonly PlannedTensor[]): WeightType {
  const elements = new Map<WeightType, number>();
  for (const tensor of tensors)
    elements.set(tensor.type, (elements.get(tensor.type) ?? 0) + elementsOf(tensor));
  return [...elements].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? "f32";
}

export function elementsOf({ shape }: Pick<PlannedTensor, "shape">): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** 7241732096 → "7.2B", as llama.cpp's converter writes it: two digits or more. */
function sizeLabel(elements: number): string {
  const [unit, letter] =
    elements > 1e12 ? [1e12, "T"] : elements > 1e9 ? [1e9, "B"] : elements > 1e6 ? [1e6, "M"] : [1e3, "K"];
  const scaled = elements / unit;
  const digits = String(Math.round(scaled)).replace(/^0+/, "").length;
  return `${scaled.toFixed(Math.max(0, 2 - digits))}${letter}`;
}
