import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { type MetadataValue, bool, float32s, int32s, string, strings } from "../../../gguf/metadata.ts";
import { optionalFlag } from "./json-values.ts";
import type { SentencePieceModel } from "./sentencepiece-model.ts";
import type { SpecialTokenIds } from "./special-tokens.ts";
import type { TokenizerKeys, TokenizerSources } from "./tokenizer-keys.ts";
import { BYTE_TOKENS, TOKEN_TYPES, Vocabulary } from "./vocabulary.ts";

/** What SentencePiece writes for a space. */
export const SPACE = "\u2581";

/** A SentencePiece vocabulary that merges by score, as of Llama 2 and Mistral: `llama` in GGUF. */
export function sentencePieceTokenizer(
  path: string,
  model: SentencePieceModel,
  sources: TokenizerSources,
): TokenizerKeys {
  checkKind(path, model);
  const vocabulary = new Vocabulary(path, sources.size);
  for (const [id, { text, score, type }] of model.pieces.entries()) {
    vocabulary.set(id, type === TOKEN_TYPES.userDefined ? unescape(text) : text, type, score);
  }
  return sentencePieceKeys(path, vocabulary, sources, {
    addDummyPrefix: model.addDummyPrefix,
    removeExtraWhitespaces: model.removeExtraWhitespaces,
    own: model.ids,
  });
}

export interface SentencePieceSettings {
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  own: SpecialTokenIds;
}

/** @param vocabulary without the added tokens */
export function sentencePieceKeys(
  path: string,
  vocabulary: Vocabulary,
  { added, tokenizerConfig }: TokenizerSources,
  settings: SentencePieceSettings,
): TokenizerKeys {
  for (const [id, { text, special }] of added) {
    // Control tokens are matched in a text as it is; others were written as the vocabulary writes them.
    if (special) vocabulary.add(id, text, TOKEN_TYPES.control);
    else vocabulary.add(id, unescape(text), TOKEN_TYPES.userDefined);
  }
  const ids = vocabulary.finish();
  const missing = BYTE_TOKENS.find((name) => !ids.has(name));
  if (missing !== undefined) {
    // Native code ends the process on a character that neither a token nor bytes can spell.
    throw invalidModel(
      path,
      `the vocabulary has no token ${missing}; only vocabularies that fall back to bytes can be converted`,
    );
  }
  const { path: configPath, root } = tokenizerConfig;
  const prefix = optionalFlag(configPath, `"add_prefix_space"`, root["add_prefix_space"]);
  const keys: [string, MetadataValue][] = [
    ["tokenizer.ggml.model", string("llama")],
    ["tokenizer.ggml.pre", string("default")],
    ["tokenizer.ggml.tokens", strings(vocabulary.tokens as string[])],
    ["tokenizer.ggml.scores", float32s(vocabulary.scores)],
    ["tokenizer.ggml.token_type", int32s(vocabulary.types)],
    ["tokenizer.ggml.add_space_prefix", bool(prefix ?? settings.addDummyPrefix)],
    ["tokenizer.ggml.remove_extra_whitespaces", bool(settings.removeExtraWhitespaces)],
  ];
  return { keys, ids, own: settings.own, adds: { bos: true, eos: false } };
}

/** What the engine cannot do it would leave out without a word. */
function checkKind(path: string, model: SentencePieceModel): void {
  const refuse = (problem: string): never => {
    throw invalidModel(path, problem, "Take a GGUF of this model that others have converted.");
  };
  if (model.kind !== "bpe") {
    refuse(`this is a SentencePiece model of kind ${quote(model.kind)}; only "bpe" can be converted`);
  }
  if (model.normalizes) {
    refuse(`the tokenizer rewrites texts first (${quote(model.normalizer)}), which the engine does not do`);
  }
  if (!model.escapeWhitespaces) refuse("the tokenizer does not write spaces as U+2581, as the engine does");
  if (model.treatWhitespaceAsSuffix) {
    refuse("the tokenizer puts spaces at the end of words, and the engine at their start");
  }
}

function unescape(text: string): string {
  return text.replaceAll(SPACE, " ");
}
