import type { StoredFile } from "../gguf-manifest.ts";
import type { Descriptor } from "../manifest.ts";

/**
 * A file of the model to be: a blob, which is pinned, or a file that becomes one if it is still needed when all is
 * gathered. `own`: it was made here, and is taken without a copy.
 */
export type ModelPart = StoredFile | { path: string; own: boolean };

/** Each GGUF is a list of its parts. */
export interface GgufFiles<Part = ModelPart> {
  model: readonly (readonly Part[])[];
  projectors: readonly (readonly Part[])[];
  adapters: readonly (readonly Part[])[];
}

/** What a model is made of so far. */
export interface Base {
  ggufs: GgufFiles;
  /** Template, system message, parameters… of the model that this one is made from: blobs, which are pinned. */
  texts: readonly Descriptor[];
}
