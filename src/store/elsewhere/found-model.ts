export type ModelSource = "ollama" | "hugging-face" | "llama.cpp" | "lm-studio";

/** A model in another program's folder, as names, sizes and the first bytes of its files tell. Paths are absolute. */
export interface FoundModel {
  /** As that program calls it: `llava:13b`, `hf.co/org/repo:Q4_K_M`, `publisher/repo:Q4_K_M`. Safe to print. */
  name: string;
  source: ModelSource;
  /** `folder`: safetensors, which `mull create` converts. */
  kind: "gguf" | "folder";
  /** Why it cannot be used; undefined when nothing seems wrong. */
  problem?: string;
  /** The text model: all parts in order. */
  model: readonly string[];
  projector?: string;
  adapters?: readonly string[];
  /** Layers of Ollama's: files that hold a Go template, a system message, parameters and messages as JSON. */
  template?: string;
  system?: string;
  params?: string;
  messages?: string;
  /** Of kind `folder`: where config.json is. */
  folder?: string;
  /** `org/repo` at Hugging Face, where the program keeps it. */
  repository?: string;
  quantization?: string;
  /** All files. */
  bytes: number;
  /** Of the newest file. */
  modifiedAt: Date;
  /** Ollama's manifest. */
  manifestPath?: string;
}

/** A stranger's file name, fit for a terminal. */
export function printable(name: string): string {
  return name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
}

export function damaged(
  source: ModelSource,
  name: string,
  path: string,
  problem: string,
  modifiedAt: Date = new Date(0),
): FoundModel {
  return { name: printable(name), source, kind: "gguf", problem, model: [path], bytes: 0, modifiedAt };
}
