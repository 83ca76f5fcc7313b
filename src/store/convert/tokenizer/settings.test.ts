import { describe, expect, it } from "vitest";
import type { MetadataValue } from "../../../gguf/metadata.ts";
import { newModelFolder } from "../../../../test/support/model-folders.ts";
import { loadNativeVocabulary } from "../../../../test/support/native-vocabulary.ts";
import { BYTE_CHARACTERS } from "../../../../test/support/plain-tokenizers.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import { sentencePieceModel, trainSentencePiece } from "../../../../test/support/tiny-vocabularies.ts";
import { readTokenizer } from "./read-tokenizer.ts";

const folder = temporaryFolder();
const vocab = Object.fromEntries([...BYTE_CHARACTERS, "ab"].map((token, id) => [token, id]));
const GPT2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const ADDED = [
  { id: 257, content: "<|begin|>", special: true },
  { id: 258, content: "<|eot_id|>", special: true },
  { id: 259, content: "<|end_of_text|>", special: true },
  { id: 260, content: "<|eom_id|>", special: true },
  { id: 262, content: "<tool>", special: false },
];

/** A vocabulary over bytes with other settings beside it. */
async function read(
  files: Record<string, unknown> = {},
  json: Record<string, unknown> = {},
): Promise<Record<string, MetadataValue["value"]>> {
  const path = newModelFolder(folder.path, {
    "config.json": { eos_token_id: 258 },
    ...files,
    "tokenizer.json": {
      added_tokens: ADDED,
      pre_tokenizer: GPT2,
      model: { type: "BPE", vocab, merges: ["a b"] },
      ...json,
    },
  });
  const keys = await readTokenizer(path, { vocabularySize: 266, architecture: "llama" });
  return Object.fromEntries(
    [...keys].map(([key, { value }]) => [key.replace(/^tokenizer\.(?:ggml\.)?/, ""), value]),
  );
}

describe("tokens", () => {
  it("are control tokens if special, user-defined if not, and unused where the model has more rows", async () => {
    const keys = await read();
    expect((keys["tokens"] as string[]).slice(256)).toEqual([
      "ab",
      "<|begin|>",
      "<|eot_id|>",
      "<|end_of_text|>",
      "<|eom_id|>",
      "[PAD261]",
      "<tool>",
      "[PAD263]",
      "[PAD264]",
      "[PAD265]",
    ]);
    expect([...(keys["token_type"] as Int32Array)].slice(256)).toEqual([1, 3, 3, 3, 3, 5, 4, 5, 5, 5]);
    expect(keys["merges"]).toEqual(["a b"]);
  });

  it("are what the last of the files says; those beyond the last row of the model are left out", async () => {
    const keys = await read({
      "added_tokens.json": { "<old>": 263, "<image>": 264, "<far>": 300 },
      "special_tokens_map.json": { additional_special_tokens: ["<image>"] },
      "tokenizer_config.json": {
        added_tokens_decoder: { 263: { content: "<new>", special: false }, 265: { content: "<|x|>" } },
      },
    });
    expect((keys["tokens"] as string[]).slice(263)).toEqual(["<new>", "<image>", "<|x|>"]);
    expect([...(keys["token_type"] as Int32Array)].slice(263)).toEqual([4, 3, 3]);
  });

  it("that fill the rows get names that no other has", async () => {
    const keys = await read({ "added_tokens.json": { "[PAD263]": 264 } });
    expect((keys["tokens"] as string[]).slice(263)).toEqual(["[PAD263]_", "[PAD263]", "[PAD265]"]);
  });
});

describe("special tokens", () => {
  it("by name go before numbers; the other ends of an answer become end of turn and of message", async () => {
    const keys = await read({
      "tokenizer_config.json": { bos_token: { content: "<|begin|>" }, eos_token: "<|eot_id|>" },
      "config.json": { bos_token_id: 1, eos_token_id: 259, text_config: { pad_token_id: 261 } },
      "generation_config.json": { eos_token_id: [259, 260, 258] },
    });
    expect(keys).toMatchObject({
      bos_token_id: 257,
      eos_token_id: 258,
      eot_token_id: 259,
      eom_token_id: 260,
      padding_token_id: 261,
      add_bos_token: false,
      add_eos_token: false,
    });
  });

  it("end an answer in the engine, each of them", async () => {
    const path = newModelFolder(folder.path, {
      "tokenizer.json": {
        added_tokens: [],
        pre_tokenizer: GPT2,
        model: { type: "BPE", vocab, merges: [] },
      },
      "generation_config.json": { eos_token_id: [7, 8, 9], bos_token_id: 3 },
    });
    const native = await loadNativeVocabulary(
      await readTokenizer(path, { vocabularySize: 257, architecture: "llama" }),
    );
    expect([6, 7, 8, 9, 11].map((token) => native.endsGeneration(token))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(native.bos).toBe(3);
    native.close();
  });

  it("that stand for none, or have no row, are left out", async () => {
    const keys = await read({ "config.json": { eos_token_id: 258, pad_token_id: -1, bos_token_id: 5000 } });
    expect(keys).toMatchObject({ eos_token_id: 258, bos_token_id: 258 });
    expect(keys).not.toHaveProperty("padding_token_id");
  });

  it.each([
    [{ type: "TemplateProcessing", single: [{ SpecialToken: { id: "x" } }, { Sequence: {} }] }, true, false],
    [
      {
        type: "Sequence",
        processors: [
          { type: "ByteLevel" },
          { type: "TemplateProcessing", single: [{ Sequence: {} }, { SpecialToken: {} }] },
        ],
      },
      false,
      true,
    ],
    [{ type: "ByteLevel" }, false, false],
    [null, false, false],
  ])("are put around a text as the post-processor says: %j", async (post_processor, bos, eos) => {
    expect(await read({}, { post_processor })).toMatchObject({ add_bos_token: bos, add_eos_token: eos });
    const settings = { "tokenizer_config.json": { add_bos_token: !bos } };
    expect(await read(settings, { post_processor })).toMatchObject({ add_bos_token: !bos });
  });

  it("come from the SentencePiece model if nothing else names them", async () => {
    const pieces = trainSentencePiece("a b c", 1);
    const path = newModelFolder(folder.path, {
      "tokenizer.model": sentencePieceModel(pieces),
      "tokenizer_config.json": { add_prefix_space: false, add_eos_token: true },
    });
    const keys = await readTokenizer(path, { vocabularySize: pieces.length, architecture: "llama" });
    const values = Object.fromEntries([...keys].map(([key, { value }]) => [key.slice(15), value]));
    expect(values).toMatchObject({
      bos_token_id: 1,
      eos_token_id: 2,
      unknown_token_id: 0,
      add_bos_token: true,
      add_eos_token: true,
      add_space_prefix: false,
    });
    expect(values).not.toHaveProperty("padding_token_id");
  });
});

describe("chat templates", () => {
  it("of tokenizer_config.json are one or many", async () => {
    expect(await read({ "tokenizer_config.json": { chat_template: "one" } })).toMatchObject({
      chat_template: "one",
    });
    const chat_template = [
      { name: "default", template: "main" },
      { name: "tool-use", template: "tools" },
    ];
    expect(await read({ "tokenizer_config.json": { chat_template } })).toMatchObject({
      chat_template: "main",
      chat_templates: ["tool_use"],
      "chat_template.tool_use": "tools",
    });
  });

  it("of the processor, which knows about pictures, go first", async () => {
    const files = { "tokenizer_config.json": { chat_template: "text" } };
    const json = { ...files, "chat_template.json": { chat_template: "pictures" } };
    expect(await read(json)).toMatchObject({ chat_template: "pictures" });
    const jinja = {
      ...json,
      "chat_template.jinja": "newest",
      "additional_chat_templates/rag.jinja": "documents",
      "additional_chat_templates/notes.txt": "no template",
    };
    expect(await read(jinja)).toMatchObject({
      chat_template: "newest",
      chat_templates: ["rag"],
      "chat_template.rag": "documents",
    });
  });
});

describe("files", () => {
  it("of the older kind, vocab.json and merges.txt, give the same as a tokenizer.json", async () => {
    const { merges, pre, tokens } = await read({}, { added_tokens: [] });
    const path = newModelFolder(folder.path, {
      "vocab.json": vocab,
      "merges.txt": "#version: 0.2\na b\n",
      "tokenizer_config.json": { tokenizer_class: "GPT2Tokenizer", eos_token: "ab" },
    });
    const keys = await readTokenizer(path, { vocabularySize: 266, architecture: "llama" });
    expect(keys.get("tokenizer.ggml.merges")?.value).toEqual(merges);
    expect(keys.get("tokenizer.ggml.pre")?.value).toEqual(pre);
    expect(keys.get("tokenizer.ggml.tokens")?.value).toEqual(tokens);
  });

  it("named tokenizer.model may be a tiktoken vocabulary: then tokenizer.json is read", async () => {
    expect(await read({ "tokenizer.model": "IQ== 0\nIg== 1\n" })).toMatchObject({ model: "gpt2" });
  });

  it("that are not there are named", async () => {
    const path = newModelFolder(folder.path, { "config.json": {} });
    await expect(readTokenizer(path, { vocabularySize: 10, architecture: "llama" })).rejects.toMatchObject({
      code: "model_not_found",
      message: `${path} holds neither tokenizer.model nor tokenizer.json.`,
    });
  });
});
