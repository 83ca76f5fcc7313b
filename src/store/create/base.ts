import type { StoredFile } from "../gguf-manifest.ts";
import type { Descriptor } from "../manifest.ts";

/** GGUF files in the store; each is a list of its parts. */
export interface GgufFiles {
  model: readonly (readonly StoredFile[])[];
  projectors: readonly (readonly StoredFile[])[];
  adapters: readonly (readonly StoredFile[])[];
}

/** What a model is made of so far: all of it in the store, and pinned. */
export interface Base {
  ggufs: GgufFiles;
  /** Template, system message, parameters… of the model that this one is made from. */
  texts: readonly Descriptor[];
}
