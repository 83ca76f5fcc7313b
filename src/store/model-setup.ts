import type { ModelDefaults } from "../spec/model.ts";
import type { LoadOptions } from "../spec/options.ts";
import type { Parameters } from "./modelfile/parameters.ts";

/** Where a model lies. */
export type ModelPlace =
  | "bundled"
  | "store"
  | "file"
  | "saved"
  | "ollama"
  | "hugging-face"
  | "llama.cpp"
  | "lm-studio";

/** A model that can be loaded: its files, and what whoever published or made it set for it. */
export interface ModelSetup extends ModelDefaults {
  /** As short as it can be said: "pico", "llava:13b", or a path. */
  name: string;
  place: ModelPlace;
  /** Absolute paths; template, adapters and context length where they are set. */
  load: LoadOptions;
  /** As they were written: all of them, also those that change nothing here. */
  parameters?: Parameters;
  licenses?: readonly string[];
  /** What of its settings was not understood, and is not used: for people. */
  warnings?: readonly string[];
}
