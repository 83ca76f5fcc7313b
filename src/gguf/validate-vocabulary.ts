import type { Gguf } from "./gguf.ts";
import { invalidModel, quote } from "./invalid-model.ts";
import type { NumericArray } from "./metadata.ts";

const BYTE = 6;
const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;
const MAX_TEMPLATE_CHARACTERS = 2 ** 20;
/** Largest special token that llama.cpp assumes where the file names none: it must exist. */
const LARGEST_DEFAULT_TOKEN: Readonly<Record<string, number>> = { llama: 2, gpt2: 11 };

/** Checks the tokenizer of a text model; returns the number of tokens. */
export function validateVocabulary(gguf: Gguf): number {
  const template = gguf.string("tokenizer.chat_template");
  if (template !== undefined && template.length > MAX_TEMPLATE_CHARACTERS) {
    throw invalidModel(
      gguf.path,
      `"tokenizer.chat_template" has ${template.length} characters; at most 2^20 are read`,
    );
  }
  const model = gguf.requireString("tokenizer.ggml.model");
  if (model === "none" || model === "no_vocab") {
    throw invalidModel(gguf.path, "the model has no vocabulary, so it can neither read nor write text");
  }
  const tokens = gguf.requireStrings("tokenizer.ggml.tokens");
  const least = (LARGEST_DEFAULT_TOKEN[model] ?? 0) + 1;
  if (tokens.length < least) {
    throw invalidModel(
      gguf.path,
      `the vocabulary has ${tokens.length} tokens; one of type ${quote(model)} needs ${least}`,
    );
  }
  if (model === "gpt2") gguf.requireStrings("tokenizer.ggml.merges");
  checkUnique(gguf, tokens);
  const scores = perToken(gguf, "tokenizer.ggml.scores", tokens.length);
  if (scores?.some((score: number) => Number.isNaN(score))) {
    throw invalidModel(gguf.path, `"tokenizer.ggml.scores" holds a NaN`);
  }
  const types = perToken(gguf, "tokenizer.ggml.token_type", tokens.length);
  for (const [index, token] of tokens.entries()) {
    // Native code takes the two hex digits out of such a token without looking at the rest.
    if (types?.[index] === BYTE && !BYTE_TOKEN.test(token)) {
      throw invalidModel(
        gguf.path,
        `token ${index} is of type byte, but reads ${quote(token)} instead of <0x00> to <0xFF>`,
      );
    }
  }
  if (model === "llama") checkBytes(gguf, tokens);
  return tokens.length;
}

/**
 * A SentencePiece vocabulary writes what it has no piece for as bytes. Native code looks a byte's token up, or the byte
 * itself as a piece, and throws through the language border when there is neither.
 */
function checkBytes(gguf: Gguf, tokens: readonly string[]): void {
  const known = new Set(tokens);
  for (let byte = 0; byte < 256; byte++) {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    if (known.has(name) || (byte < 128 && known.has(String.fromCharCode(byte)))) continue;
    throw invalidModel(gguf.path, `the vocabulary has no token ${name}, so there are texts it cannot read`);
  }
}

/** Native code aborts when two tokens have the same text, which for it ends at a NUL. */
function checkUnique(gguf: Gguf, tokens: readonly string[]): void {
  const seen = new Set<string>();
  for (const [index, token] of tokens.entries()) {
    const end = token.indexOf("\0");
    const text = end < 0 ? token : token.slice(0, end);
    // An empty token is given a name of its own.
    if (text !== "" && seen.has(text)) {
      throw invalidModel(gguf.path, `token ${index} repeats the earlier token ${quote(text)}`);
    }
    seen.add(text);
  }
}

function perToken(gguf: Gguf, key: string, tokens: number): NumericArray | undefined {
  const values = gguf.numbers(key);
  if (values === undefined || values.length === tokens) return values;
  throw invalidModel(gguf.path, `${quote(key)} has ${values.length} entries for ${tokens} tokens`);
}
