import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { isObject } from "./json-values.ts";
import type { JsonFile } from "./model-folder.ts";
import { scoresFromMerges } from "./scores-from-merges.ts";
import { SPACE, sentencePieceKeys } from "./sentencepiece-tokenizer.ts";
import type { BytePairModel } from "./tokenizer-json.ts";
import type { TokenizerKeys, TokenizerSources } from "./tokenizer-keys.ts";
import { BYTE_TOKENS, TOKEN_TYPES, Vocabulary } from "./vocabulary.ts";

/** A SentencePiece vocabulary that was saved as `tokenizer.json` only: `llama` in GGUF. */
export function mergedTokenizer(
  { path, root }: JsonFile,
  model: BytePairModel,
  sources: TokenizerSources,
): TokenizerKeys {
  if (model.ignoreMerges) throw unknownSteps(path, `"model.ignore_merges"`);
  const addDummyPrefix = hasDummyPrefix(path, root["normalizer"], root["pre_tokenizer"]);
  const bytes = new Set(BYTE_TOKENS);
  const whole = new Set([...sources.added.values()].map(({ text }) => text));
  const isPlain = (token: string): boolean =>
    !bytes.has(token) && !whole.has(token) && token !== model.unknownToken;
  const scores = scoresFromMerges(path, model, isPlain);
  const vocabulary = new Vocabulary(path, sources.size);
  for (const [token, id] of model.vocabulary) {
    const type = bytes.has(token)
      ? TOKEN_TYPES.byte
      : token === model.unknownToken
        ? TOKEN_TYPES.unknown
        : TOKEN_TYPES.normal;
    // Characters are joined into nothing, so that theirs do not count; like SentencePiece, below all others.
    const least = type === TOKEN_TYPES.normal ? -1 - scores.size : 0;
    vocabulary.set(id, token, type, scores.get(token) ?? least);
  }
  return sentencePieceKeys(path, vocabulary, sources, {
    addDummyPrefix,
    removeExtraWhitespaces: false,
    own: { unk: model.unknownToken === undefined ? undefined : model.vocabulary.get(model.unknownToken) },
  });
}

/**
 * Whether a space is put in front of a text. Spaces become `▁` in the normalizer, or in a Metaspace pre-tokenizer of
 * newer files. Anything else that these steps do, the engine would not.
 */
function hasDummyPrefix(path: string, normalizer: unknown, preTokenizer: unknown): boolean {
  let [replaces, prefix] = [false, false];
  for (const step of flatten(normalizer, "normalizers")) {
    if (step["type"] === "Prepend" && step["prepend"] === SPACE) prefix = true;
    else if (step["type"] === "Replace" && step["content"] === SPACE && isSpace(step["pattern"]))
      replaces = true;
    else throw unknownSteps(path, `"normalizer" with ${typeOf(step)}`);
  }
  for (const step of flatten(preTokenizer, "pretokenizers")) {
    // After the spaces are gone there is nothing to split at.
    if (step["type"] === "Split" && isSpace(step["pattern"]) && replaces) continue;
    if (step["type"] !== "Metaspace" || step["replacement"] !== SPACE || step["split"] !== false) {
      throw unknownSteps(path, `"pre_tokenizer" with ${typeOf(step)}`);
    }
    replaces = true;
    prefix ||=
      (step["prepend_scheme"] ?? (step["add_prefix_space"] === false ? "never" : "always")) !== "never";
  }
  if (!replaces) throw unknownSteps(path, `"normalizer" without U+2581 for spaces`);
  return prefix;
}

function flatten(value: unknown, list: string): Readonly<Record<string, unknown>>[] {
  const steps =
    isObject(value) && Array.isArray(value[list]) ? (value[list] as unknown[]) : [value ?? []].flat();
  return steps.map((step) => (isObject(step) ? step : {}));
}

function typeOf({ type }: Readonly<Record<string, unknown>>): string {
  return quote(typeof type === "string" ? type : "no type");
}

function isSpace(pattern: unknown): boolean {
  return isObject(pattern) && pattern["String"] === " ";
}

function unknownSteps(path: string, what: string): Error {
  return invalidModel(
    path,
    `${what} prepares texts in a way that the engine does not know`,
    "Put the tokenizer.model of this model beside it, or take a GGUF that others have converted.",
  );
}
