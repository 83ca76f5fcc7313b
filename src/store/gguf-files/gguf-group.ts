import { parseSplitName, splitName } from "../../gguf/split-names.ts";
import { quantizationOfPath } from "./quantization.ts";

/** The files of one GGUF: one, or the parts of a split one. Told by names alone; nothing is opened. */
export interface GgufGroup {
  /** Paths as they were given, with `/` between folders, in order. */
  parts: readonly string[];
  /** How many parts there must be. */
  count: number;
  /** `Q4_K_M`, or undefined when no name says. */
  quantization: string | undefined;
  /**
   * - `projector`: has "mmproj" in its name
   * - `other`: an importance matrix, or a small model that drafts for a large one; not for use on its own
   */
  role: "model" | "projector" | "other";
}

/** llama.cpp's names for drafters and for statistics of a quantiser. */
const OTHER = /imatrix|^(?:mtp|eagle3|dflash|dspark)-/i;

/** Files that are no GGUF are left out. In the order of their names. */
export function groupGgufs(paths: readonly string[]): readonly GgufGroup[] {
  const groups = new Map<string, { count: number; parts: Map<number, string> }>();
  for (const path of paths.filter((path) => /\.gguf$/i.test(path)).sort()) {
    const split = splitOf(path);
    const key = split === undefined ? path : splitName(split.prefix, 0, split.count);
    const group = groups.get(key) ?? { count: split?.count ?? 1, parts: new Map<number, string>() };
    group.parts.set(split?.part ?? 1, path);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ count, parts }) => {
    const files = [...parts].sort(([a], [b]) => a - b).map(([, path]) => path);
    const first = files[0] ?? "";
    return { parts: files, count, quantization: quantizationOfPath(first), role: roleOf(fileName(first)) };
  });
}

/** Paths of the parts that should be there and are not; no more than 1000. */
export function missingParts(group: GgufGroup): readonly string[] {
  const split = splitOf(group.parts[0] ?? "");
  if (split === undefined) return [];
  const there = new Set(group.parts);
  const missing: string[] = [];
  for (let part = 1; part <= group.count && missing.length < 1000; part++) {
    const path = splitName(split.prefix, part, group.count);
    if (!there.has(path)) missing.push(path);
  }
  return missing;
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** "" for a file that lies in no folder. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** What a model is called without its ending and the number of its part. */
export function stemOf(path: string): string {
  return fileName(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
}

/** Numbers from 1 to the count; anything else is a file that happens to be called so. */
function splitOf(path: string): { prefix: string; part: number; count: number } | undefined {
  const split = parseSplitName(fileName(path));
  if (split === undefined || split.part < 1 || split.part > split.count || split.count < 2) return undefined;
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  return { prefix: folder + split.prefix, part: split.part, count: split.count };
}

function roleOf(name: string): GgufGroup["role"] {
  if (/mmproj/i.test(name)) return "projector";
  return OTHER.test(name) ? "other" : "model";
}
