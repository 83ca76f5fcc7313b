import type { AddedToken } from "./added-tokens.ts";
import type { MetadataValue } from "../../../gguf/metadata.ts";
import type { JsonFile } from "./model-folder.ts";
import type { SpecialTokenIds } from "./special-tokens.ts";

/** What every kind of vocabulary is made from, beside its own file. */
export interface TokenizerSources {
  added: ReadonlyMap<number, AddedToken>;
  tokenizerConfig: JsonFile;
  /** Rows of the model's embedding. */
  size: number;
}

/** Keys of one kind of vocabulary, and what the keys of all kinds are made from. */
export interface TokenizerKeys {
  keys: [string, MetadataValue][];
  /** All tokens by name. */
  ids: ReadonlyMap<string, number>;
  /** Special tokens that the vocabulary itself knows. */
  own: SpecialTokenIds;
  /** What is put around a text where no settings say so. */
  adds: { bos: boolean; eos: boolean };
}
