import type { JsonFile } from "./model-folder.ts";
import {
  arrayAt,
  isObject,
  objectAt,
  optionalFlag,
  optionalObject,
  optionalText,
  textAt,
  tokenIdAt,
} from "./json-values.ts";

/** A token that is matched in a text as a whole, before anything else. */
export interface AddedToken {
  text: string;
  /** Whether it steers the model and is no part of an answer. */
  special: boolean;
}

/** The settings files that speak of tokens. */
export interface TokenSettings {
  tokenizerConfig: JsonFile;
  specialTokensMap: JsonFile;
  addedTokens: JsonFile;
}

const NAMED_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
];
/** Tokens that steer a model although some tokenizers do not mark them. */
const LOOKS_SPECIAL = /^(?:<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<｜.*｜>|<unused.*>)$/s;

/**
 * Added tokens by number. Later files say more than earlier ones: `added_tokens.json`, then `tokenizer.json`,
 * then `added_tokens_decoder` of `tokenizer_config.json`.
 *
 * @param tokenizerJson its `added_tokens` are read
 */
export function readAddedTokens(
  settings: TokenSettings,
  tokenizerJson: JsonFile | undefined,
): Map<number, AddedToken> {
  const { tokenizerConfig, specialTokensMap, addedTokens } = settings;
  const special = new Set([...specialNames(tokenizerConfig), ...specialNames(specialTokensMap)]);
  const found = new Map<number, AddedToken>();
  const add = (id: number, text: string, marked: boolean): void => {
    found.set(id, { text, special: marked || special.has(text) || LOOKS_SPECIAL.test(text) });
  };
  for (const [text, id] of Object.entries(addedTokens.root)) {
    textAt(addedTokens.path, "the name of a token", text);
    add(tokenIdAt(addedTokens.path, `token ${JSON.stringify(text)}`, id), text, false);
  }
  if (tokenizerJson !== undefined) {
    const { path, root } = tokenizerJson;
    for (const [index, entry] of arrayAt(path, `"added_tokens"`, root["added_tokens"] ?? []).entries()) {
      const field = `"added_tokens"[${index}]`;
      const token = objectAt(path, field, entry);
      add(tokenIdAt(path, `${field}.id`, token["id"]), ...contentOf(path, field, token));
    }
  }
  const { path, root } = tokenizerConfig;
  const decoder = optionalObject(path, `"added_tokens_decoder"`, root["added_tokens_decoder"]) ?? {};
  for (const [key, entry] of Object.entries(decoder)) {
    const field = `"added_tokens_decoder".${JSON.stringify(key)}`;
    const id = tokenIdAt(path, field, /^\d{1,10}$/.test(key) ? Number(key) : key);
    add(id, ...contentOf(path, field, objectAt(path, field, entry)));
  }
  return found;
}

function contentOf(path: string, field: string, token: Readonly<Record<string, unknown>>): [string, boolean] {
  return [
    textAt(path, `${field}.content`, token["content"]),
    optionalFlag(path, `${field}.special`, token["special"]) ?? false,
  ];
}

/** Text of `bos_token` and the like, which is a string or an object with `content`. */
export function namedToken({ path, root }: JsonFile, name: string): string | undefined {
  return tokenText(path, JSON.stringify(name), root[name]);
}

function specialNames(file: JsonFile): string[] {
  const named = NAMED_TOKENS.map((name) => namedToken(file, name));
  const additional = file.root["additional_special_tokens"] ?? [];
  // Newer files keep a map of names here.
  const list = isObject(additional)
    ? Object.values(additional)
    : arrayAt(file.path, `"additional_special_tokens"`, additional);
  const more = list.map((entry) => tokenText(file.path, `"additional_special_tokens"`, entry));
  return [...named, ...more].filter((text) => text !== undefined);
}

function tokenText(path: string, field: string, value: unknown): string | undefined {
  return isObject(value)
    ? textAt(path, `${field}.content`, value["content"])
    : optionalText(path, field, value);
}
