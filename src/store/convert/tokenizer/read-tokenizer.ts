import { readAddedTokens } from "./added-tokens.ts";
import { byteLevelTokenizer } from "./byte-level-tokenizer.ts";
import { readChatTemplates } from "./chat-templates.ts";
import { invalidModel } from "../../../gguf/invalid-model.ts";
import type { MetadataValue } from "../../../gguf/metadata.ts";
import { mergedTokenizer } from "./merged-tokenizer.ts";
import { type JsonFile, ModelFolder } from "./model-folder.ts";
import { MullError } from "../../../spec/errors.ts";
import { isByteLevel } from "./pre-tokenizers.ts";
import { parseSentencePieceModel } from "./sentencepiece-model.ts";
import { sentencePieceTokenizer } from "./sentencepiece-tokenizer.ts";
import { readSlowTokenizer } from "./slow-tokenizer.ts";
import { addTokenKeys, specialTokenKeys } from "./special-tokens.ts";
import { readBytePairModel } from "./tokenizer-json.ts";
import type { TokenizerKeys, TokenizerSources } from "./tokenizer-keys.ts";

export interface ReadTokenizerOptions {
  /** Rows of the model's embedding: the vocabulary is filled up to it. 1 to 2^22. */
  vocabularySize: number;
  /** `general.architecture` of the model, for messages. */
  architecture: string;
}

const MAX_VOCABULARY = 2 ** 22;
/** A vocabulary of tiktoken, which some folders hold under the name of a SentencePiece model. */
const TIKTOKEN_LINE = /^[A-Za-z0-9+/]+={0,2} \d+\n/;

/**
 * Reads the tokenizer of a Hugging Face model folder as the `tokenizer.*` keys of a GGUF file.
 *
 * Taken from the first of: `tokenizer.model` (SentencePiece BPE), `tokenizer.json` (BPE over bytes, or made from a
 * SentencePiece model), `vocab.json` with `merges.txt`. Added tokens, special tokens and chat templates come from the
 * settings files beside it.
 *
 * @throws MullError `invalid_model` that names the file and the field: damaged, hostile, of another size than the
 *   model, or a tokenizer that the engine does not have; `model_not_found` if the folder holds no tokenizer
 */
export async function readTokenizer(
  folder: string,
  { vocabularySize, architecture }: ReadTokenizerOptions,
): Promise<ReadonlyMap<string, MetadataValue>> {
  if (!Number.isInteger(vocabularySize) || vocabularySize < 1 || vocabularySize > MAX_VOCABULARY) {
    throw invalidModel(folder, `a ${architecture} model with ${vocabularySize} tokens cannot be converted`);
  }
  const files = new ModelFolder(folder);
  const settings = {
    tokenizerConfig: await files.settings("tokenizer_config.json"),
    specialTokensMap: await files.settings("special_tokens_map.json"),
    addedTokens: await files.settings("added_tokens.json"),
    config: await files.settings("config.json"),
    generationConfig: await files.settings("generation_config.json"),
  };
  const { tokenizerConfig } = settings;
  const sentencePiece = await files.bytes("tokenizer.model");
  const tokenizerJson =
    (await files.vocabulary("tokenizer.json")) ??
    (sentencePiece === undefined ? await readSlowTokenizer(files, tokenizerConfig) : undefined);
  const sources = {
    added: readAddedTokens(settings, tokenizerJson),
    tokenizerConfig,
    size: vocabularySize,
  };
  const { keys, ids, own, adds } =
    convertSentencePiece(sentencePiece, tokenizerJson, sources) ??
    convertJson(folder, tokenizerJson, sources);
  return new Map([
    ...keys,
    ...specialTokenKeys(settings, ids, own),
    ...addTokenKeys(tokenizerConfig, tokenizerJson, adds),
    ...(await readChatTemplates(files, tokenizerConfig)),
  ]);
}

/** Undefined if the folder has no such file, or one that `tokenizer.json` says more about. */
function convertSentencePiece(
  file: { path: string; bytes: Uint8Array } | undefined,
  tokenizerJson: JsonFile | undefined,
  sources: TokenizerSources,
): TokenizerKeys | undefined {
  if (file === undefined) return undefined;
  const { path, bytes } = file;
  if (TIKTOKEN_LINE.test(Buffer.from(bytes.subarray(0, 256)).toString("latin1"))) {
    if (tokenizerJson !== undefined) return undefined;
    throw invalidModel(
      path,
      "this is a tiktoken vocabulary, which says too little",
      "tokenizer.json is needed.",
    );
  }
  const model = parseSentencePieceModel(path, bytes, sources.size);
  // Libraries that read tokenizer.json leave the rewriting out, or say there what is left of it.
  if (model.kind === "bpe" && model.normalizes && tokenizerJson !== undefined) return undefined;
  return sentencePieceTokenizer(path, model, sources);
}

function convertJson(folder: string, file: JsonFile | undefined, sources: TokenizerSources): TokenizerKeys {
  if (file === undefined) {
    throw new MullError("model_not_found", `${folder} holds neither tokenizer.model nor tokenizer.json.`, {
      hint: "Download the tokenizer files of the model, too.",
      details: { path: folder },
    });
  }
  const model = readBytePairModel(file);
  if (isByteLevel(file.root["pre_tokenizer"])) return byteLevelTokenizer(file, model, sources);
  if (model.byteFallback) return mergedTokenizer(file, model, sources);
  throw invalidModel(
    file.path,
    "the vocabulary is neither over bytes nor falls back to them, so that the engine could not spell all texts",
  );
}
