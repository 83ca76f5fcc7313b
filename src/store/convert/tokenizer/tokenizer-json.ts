import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import {
  arrayAt,
  isTokenId,
  objectAt,
  optionalFlag,
  optionalText,
  textAt,
  tokenIdAt,
  wrongShape,
} from "./json-values.ts";
import type { JsonFile } from "./model-folder.ts";

/** A pair of tokens that are joined, and what they become. Earlier ones go first. */
export type Merge = readonly [left: string, right: string];

/** The `model` of a `tokenizer.json`, checked: every merge joins two tokens into a third. */
export interface BytePairModel {
  /** Number of each token. */
  vocabulary: ReadonlyMap<string, number>;
  merges: readonly Merge[];
  unknownToken: string | undefined;
  byteFallback: boolean;
  ignoreMerges: boolean;
}

/** @throws MullError `invalid_model` for another kind of model, or one that contradicts itself */
export function readBytePairModel({ path, root }: JsonFile): BytePairModel {
  const model = objectAt(path, `"model"`, root["model"]);
  // Files of old versions have no type, and are told by what they hold.
  const type = model["type"] ?? ("merges" in model ? "BPE" : undefined);
  if (type !== "BPE") {
    throw invalidModel(
      path,
      `"model.type" is ${typeof type === "string" ? quote(type) : "missing"}; only BPE vocabularies can be converted`,
      "Take a GGUF of this model that others have converted.",
    );
  }
  for (const name of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (optionalText(path, `"model.${name}"`, model[name])) {
      throw invalidModel(path, `"model.${name}" is set, which the engine does not know`);
    }
  }
  const vocabulary = readVocabulary(path, model["vocab"]);
  return {
    vocabulary,
    merges: readMerges(path, model["merges"], vocabulary),
    unknownToken: optionalText(path, `"model.unk_token"`, model["unk_token"]),
    byteFallback: optionalFlag(path, `"model.byte_fallback"`, model["byte_fallback"]) ?? false,
    ignoreMerges: optionalFlag(path, `"model.ignore_merges"`, model["ignore_merges"]) ?? false,
  };
}

function readVocabulary(path: string, value: unknown): Map<string, number> {
  const vocabulary = new Map<string, number>();
  for (const [token, id] of Object.entries(objectAt(path, `"model.vocab"`, value))) {
    textAt(path, `a token of "model.vocab"`, token);
    vocabulary.set(token, isTokenId(id) ? id : tokenIdAt(path, `"model.vocab".${quote(token)}`, id));
  }
  return vocabulary;
}

function readMerges(path: string, value: unknown, vocabulary: ReadonlyMap<string, number>): Merge[] {
  const seen = new Set<string>();
  return arrayAt(path, `"model.merges"`, value).map((entry, rank) => {
    const field = `"model.merges"[${rank}]`;
    // Newer files write a pair, so that its halves may hold spaces.
    const halves = typeof entry === "string" ? entry.split(" ") : arrayAt(path, field, entry);
    if (halves.length !== 2) throw wrongShape(path, field, "a pair of tokens", entry);
    const [left, right] = halves.map((half) => textAt(path, field, half)) as [string, string];
    for (const token of [left, right, left + right]) {
      if (!vocabulary.has(token)) {
        throw invalidModel(path, `${field} needs the token ${quote(token)}, which "model.vocab" lacks`);
      }
    }
    const key = `${left.length} ${left}${right}`;
    if (seen.has(key)) throw invalidModel(path, `${field} repeats an earlier merge of ${quote(left)}`);
    seen.add(key);
    return [left, right];
  });
}
