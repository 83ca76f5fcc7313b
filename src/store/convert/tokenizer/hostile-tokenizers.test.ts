import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MullError } from "../../../spec/errors.ts";
import { newModelFolder } from "../../../../test/support/model-folders.ts";
import { BYTE_CHARACTERS } from "../../../../test/support/plain-tokenizers.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import {
  field,
  sentencePieceModel,
  tag,
  trainSentencePiece,
  varint,
} from "../../../../test/support/tiny-vocabularies.ts";
import { readTokenizer } from "./read-tokenizer.ts";
import { validateVocabulary } from "../../../gguf/validate-vocabulary.ts";
import { Gguf, type GgufContent } from "../../../gguf/gguf.ts";

const folder = temporaryFolder();
const pieces = trainSentencePiece("the cat and the hat and the bat", 12);
const model = sentencePieceModel(pieces);
const size = pieces.length;

function read(files: Record<string, unknown>, vocabularySize = size): ReturnType<typeof readTokenizer> {
  return readTokenizer(newModelFolder(folder.path, files), { vocabularySize, architecture: "llama" });
}

async function refusal(files: Record<string, unknown>, vocabularySize = size): Promise<string> {
  const error: unknown = await read(files, vocabularySize).then(
    () => "it was read",
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: "invalid_model" });
  return (error as MullError).message;
}

/** What passes must pass the check that stands before native code; what does not must be refused in our words. */
async function outcome(files: Record<string, unknown>): Promise<unknown> {
  try {
    const metadata = await read(files);
    const gguf: GgufContent = {
      path: "",
      paths: [],
      version: 3,
      alignment: 32,
      fileBytes: 0,
      tensors: new Map(),
      metadata,
    };
    validateVocabulary(new Gguf(gguf));
    return "fine";
  } catch (error) {
    return MullError.is(error) ? error.code : error;
  }
}

const ACCEPTABLE = ["fine", "invalid_model"];

describe("a hostile tokenizer.model", () => {
  it("of any bytes, cut off anywhere, or with any byte changed, is read or refused", async () => {
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(model.length).map((length) => model.subarray(0, length)),
      fc.tuple(fc.nat(model.length - 1), fc.nat(255)).map(([place, byte]) => {
        const copy = Buffer.from(model);
        copy[place] = byte;
        return copy;
      }),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async (bytes) => {
        expect(ACCEPTABLE).toContain(await outcome({ "tokenizer.model": bytes }));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["a length beyond the end", Buffer.concat([tag(1, 2), varint(2n ** 63n)]), /cut off at byte 11/],
    ["a varint without end", Buffer.alloc(40, 0xff), /more than 64 bits|more than ten bytes/],
    ["a varint that is cut off", Buffer.from([0x0a, 0x80]), /a number is cut off/],
    ["a group", Buffer.concat([tag(1, 3), tag(1, 4)]), /unknown type/],
    ["field 0", Buffer.from([0, 0]), /there is no field/],
    ["no pieces", Buffer.alloc(0), /holds no pieces/],
    [
      "a piece of bytes that are no text",
      field(1, field(1, Buffer.from([0xff, 0xfe]))),
      /piece 0 is not UTF-8/,
    ],
    [
      "a piece of an unknown type",
      field(1, Buffer.concat([tag(3, 0), varint(9)])),
      /piece 0 is of an unknown type/,
    ],
    [
      "a score that is no number",
      field(1, Buffer.concat([tag(2, 5), Buffer.from([0, 0, 0xc0, 0x7f])])),
      /score of piece 0/,
    ],
  ])("with %s is refused", async (_, bytes, message) => {
    expect(await refusal({ "tokenizer.model": bytes })).toMatch(message);
  });

  it("of another kind or with steps that the engine lacks is refused by name", async () => {
    const unigram = sentencePieceModel(pieces, { kind: 1 });
    expect(await refusal({ "tokenizer.model": unigram })).toMatch(/of kind "unigram"/);
    const rewriting = sentencePieceModel(pieces, { charsmap: new Uint8Array(8) });
    expect(await refusal({ "tokenizer.model": rewriting })).toMatch(/rewrites texts first \("nmt_nfkc"\)/);
    const noBytes = sentencePieceModel(pieces.filter(({ type }) => type !== 6));
    expect(await refusal({ "tokenizer.model": noBytes })).toMatch(/no token <0x00>/);
    expect(await refusal({ "tokenizer.model": model }, size - 1)).toMatch(
      /more pieces than the model has rows/,
    );
    const twice = sentencePieceModel([...pieces.slice(0, -1), { text: "<s>", score: 0, type: 1 }]);
    expect(await refusal({ "tokenizer.model": twice })).toMatch(/tokens 1 and \d+ are both named "<s>"/);
    const byte = sentencePieceModel([...pieces.slice(0, -1), { text: "<0xab>", score: 0, type: 6 }]);
    expect(await refusal({ "tokenizer.model": byte })).toMatch(/stands for a byte, but is named "<0xab>"/);
  });

  it("of a million pieces is read", async () => {
    const many = [
      ...pieces,
      ...Array.from({ length: 1_000_000 - size }, (_, index) => ({ text: `x${index}`, score: 0, type: 1 })),
    ];
    const keys = await read({ "tokenizer.model": sentencePieceModel(many) }, 1_000_000);
    expect(keys.get("tokenizer.ggml.scores")?.value).toHaveLength(1_000_000);
  });
});

describe("a hostile tokenizer.json", () => {
  const vocab: Record<string, number> = Object.fromEntries(BYTE_CHARACTERS.map((token, id) => [token, id]));
  const valid = {
    added_tokens: [{ id: 256, content: "<|end|>", special: true }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    post_processor: null,
    model: { type: "BPE", vocab, merges: [] as unknown[], byte_fallback: false },
  };
  const config = { "tokenizer_config.json": { eos_token: "<|end|>" } };
  const modelWith = (changes: Record<string, unknown>): Record<string, unknown> => ({
    ...config,
    "tokenizer.json": { ...valid, model: { ...valid.model, ...changes } },
  });

  it("or settings beside it, of any shape, are read or refused", async () => {
    const paths = [
      ...["added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model"].map((key) => [
        "tokenizer.json",
        key,
      ]),
      ...["vocab", "merges", "type", "unk_token", "ignore_merges"].map((key) => [
        "tokenizer.json",
        "model",
        key,
      ]),
      ...[
        "eos_token",
        "added_tokens_decoder",
        "chat_template",
        "add_bos_token",
        "additional_special_tokens",
      ].map((key) => ["tokenizer_config.json", key]),
      ["config.json", "eos_token_id"],
      ["config.json", "text_config"],
      ["generation_config.json", "eos_token_id"],
      ["chat_template.json", "chat_template"],
      ["added_tokens.json"],
      ["special_tokens_map.json"],
    ];
    const change = (value: unknown, path: readonly string[], to: unknown): unknown => {
      const [key, ...rest] = path;
      if (key === undefined) return to;
      return {
        ...(value as object),
        [key]: change((value as Record<string, unknown> | undefined)?.[key], rest, to),
      };
    };
    const anything = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom<unknown>(
        {},
        [],
        [[]],
        [{}],
        -1,
        1e300,
        "\ud800",
        { type: "Sequence" },
        { 5: { content: 1 } },
      ),
      fc.dictionary(fc.string({ maxLength: 4 }), fc.integer({ min: -1, max: 400 }), { maxKeys: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), anything, async (path, to) => {
        const files = change({ ...config, "tokenizer.json": valid }, path, to);
        expect(ACCEPTABLE).toContain(await outcome(files as Record<string, unknown>));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [
      "two tokens with one number",
      modelWith({ vocab: { ...vocab, xx: 7 } }),
      /tokens ".*" and "xx" both have number 7/,
    ],
    ["a number beyond the rows", modelWith({ vocab: { ...vocab, xx: 5000 } }), /"xx" has number 5000/],
    ["a negative number", modelWith({ vocab: { ...vocab, xx: -1 } }), /"model.vocab"."xx" is -1/],
    ["half a character", modelWith({ vocab: { ...vocab, "\ud83d": 257 } }), /not Unicode text/],
    ["a merge of three", modelWith({ merges: ["a b c"] }), /"model.merges"\[0\] is "a b c"/],
    ["a merge of numbers", modelWith({ merges: [[1, 2]] }), /"model.merges"\[0\] is 1 instead of a string/],
    ["a merge into nothing", modelWith({ merges: ["a b"] }), /needs the token "ab"/],
    [
      "a merge twice",
      modelWith({ vocab: { ...vocab, ab: 257 }, merges: ["a b", ["a", "b"]] }),
      /repeats an earlier merge/,
    ],
    ["another kind of model", modelWith({ type: "WordPiece" }), /"model.type" is "WordPiece"/],
    [
      "neither bytes nor a way back to them",
      { ...config, "tokenizer.json": { ...valid, pre_tokenizer: null } },
      /neither over bytes/,
    ],
    [
      "a normalizer",
      { ...config, "tokenizer.json": { ...valid, normalizer: { type: "Lowercase" } } },
      /by "Lowercase"/,
    ],
    [
      "an unknown pattern",
      {
        ...config,
        "tokenizer.json": {
          ...valid,
          pre_tokenizer: {
            type: "Sequence",
            pretokenizers: [
              { type: "Split", pattern: { Regex: "[a-z]+" }, behavior: "Isolated" },
              { type: "ByteLevel", add_prefix_space: false, use_regex: false },
            ],
          },
        },
      },
      /does not know: "split \[a-z\]\+", "bytes"/,
    ],
    ["no end", { "tokenizer.json": valid }, /no token ends an answer/],
    ["no JSON", { "tokenizer.json": "{" }, /tokenizer.json: the file is not JSON/],
    ["no text", { "tokenizer.json": Buffer.from([0x7b, 0xff, 0x7d]) }, /not UTF-8/],
    ["no object", { "tokenizer.json": "[]" }, /the file is an array of 0 instead of an object/],
    [
      "a template of two million characters",
      { ...config, "tokenizer.json": valid, "chat_template.jinja": "x".repeat(2e6) },
      /2000000 characters/,
    ],
  ])("with %s is refused", async (_, files, message) => {
    expect(await refusal(files)).toMatch(message);
  });

  it("that is nested without end is read or refused", async () => {
    const nested = `${"[".repeat(1e6)}${"]".repeat(1e6)}`;
    for (const key of ["pre_tokenizer", "normalizer", "post_processor", "model", "added_tokens"]) {
      const json = JSON.stringify({ ...valid, [key]: "HERE" }).replace('"HERE"', nested);
      expect(ACCEPTABLE).toContain(await outcome({ ...config, "tokenizer.json": json }));
      const object = `${'{"type":"Sequence","processors":['.repeat(1e5)}${"]}".repeat(1e5)}`;
      const files = { ...config, "tokenizer.json": json.replace(nested, object) };
      expect(ACCEPTABLE).toContain(await outcome(files));
    }
  });
});
