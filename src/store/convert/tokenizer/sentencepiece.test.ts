import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newModelFolder } from "../../../../test/support/model-folders.ts";
import { loadNativeVocabulary } from "../../../../test/support/native-vocabulary.ts";
import { mergingEncoder, sentencePieceEncoder } from "../../../../test/support/plain-tokenizers.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import {
  type TinyPiece,
  mergesOf,
  sentencePieceModel,
  trainSentencePiece,
} from "../../../../test/support/tiny-vocabularies.ts";
import { readTokenizer } from "./read-tokenizer.ts";

const fixture = fileURLToPath(new URL("../../../../test/fixtures/tokenizer", import.meta.url));
const text = readFileSync(join(fixture, "text.txt"), "utf8");
const folder = temporaryFolder();
const MODEL = { architecture: "llama" };

const newFolder = (files: Record<string, unknown>): string => newModelFolder(folder.path, files);

const PICKED = [
  "",
  " ",
  "  a",
  "a ",
  "\n",
  "\n\n \n",
  "Hello world",
  "What is in this image?",
  "1969 and 3,500",
  "今天天气很好",
  "한국어",
  "🚀👩‍👩‍👧",
  "▁",
  "a▁b",
  "<0x41>",
  "<s>",
  "</s>hello",
  "hi<s>there</s> friend <unk>",
  "<image>\nWhat is this?",
  "<image><image>",
  "look <pad> there",
  "[PAD9]",
  "aaaaaaa",
  "\u0000",
];

/** Texts of the vocabulary's letters, of its words, and of anything. */
const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom(...new Set(text)), maxLength: 40 }),
  fc
    .array(fc.constantFrom(...text.split(/(?<=\s)/), "<s>", "<image>", " "), { maxLength: 12 })
    .map((words) => words.join("")),
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom("a", "t", "h", "e", " "), maxLength: 30 }),
);

describe("a tokenizer.model", () => {
  const pieces = trainSentencePiece(text, 300);
  const extra = [
    { id: pieces.length, content: "<image>", special: false },
    { id: pieces.length + 1, content: "<pad>", special: true },
  ];
  const plain = (prefix: boolean, source: readonly TinyPiece[] = pieces) =>
    sentencePieceEncoder({
      pieces: source.map(({ text, score, type }) => ({ text, score, plain: type === 1 })),
      added: [
        ...source.flatMap(({ text, type }, id) => (type === 2 || type === 3 ? [{ id, content: text }] : [])),
        ...extra,
      ],
      prefix,
    });

  it.each([true, false])(
    "gives the engine the tokens that its file says (dummy prefix: %s)",
    async (prefix) => {
      const path = newFolder({
        "tokenizer.model": sentencePieceModel(pieces, { addDummyPrefix: prefix }),
        "added_tokens.json": { "<image>": pieces.length, "<pad>": pieces.length + 1 },
        "special_tokens_map.json": { pad_token: "<pad>" },
      });
      const keys = await readTokenizer(path, { ...MODEL, vocabularySize: pieces.length + 64 });
      const native = await loadNativeVocabulary(keys);
      const expected = plain(prefix);
      for (const picked of [...PICKED, ...text.split("\n")])
        expect([picked, native.encode(picked)]).toEqual([picked, expected(picked)]);
      fc.assert(
        fc.property(texts, (sample) => {
          expect(native.encode(sample)).toEqual(expected(sample));
        }),
        { numRuns: 500 },
      );
      expect(native.encodeWhole("hello")).toEqual([1, ...expected("hello")]);
      expect(native.size).toBe(pieces.length + 64);
      native.close();
    },
  );

  it("gives the tokens that SentencePiece itself gives for a model that it trained", async () => {
    const path = newFolder({ "tokenizer.model": readFileSync(join(fixture, "tokenizer.model")) });
    const keys = await readTokenizer(path, { ...MODEL, vocabularySize: 600 });
    const native = await loadNativeVocabulary(keys);
    const cases = JSON.parse(readFileSync(join(fixture, "expected.json"), "utf8")) as [string, number[]][];
    for (const [sample, expected] of cases) {
      // A control token in a prompt is a control token here, and text to SentencePiece.
      if (/<unk>|<s>/.test(sample)) continue;
      expect([sample, native.encode(sample)]).toEqual([sample, expected]);
    }
    expect(cases.length).toBeGreaterThan(150);
    native.close();
  });

  it("decodes what it encoded", async () => {
    const path = newFolder({ "tokenizer.model": sentencePieceModel(pieces) });
    const native = await loadNativeVocabulary(
      await readTokenizer(path, { ...MODEL, vocabularySize: pieces.length }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 30 }), (sample) => {
        fc.pre(!/<s>|<unk>|▁/.test(sample) && sample !== "");
        expect(native.decode(native.encode(sample))).toBe(` ${sample}`);
      }),
    );
    native.close();
  });
});

describe("a SentencePiece vocabulary in a tokenizer.json", () => {
  const pieces = trainSentencePiece(text, 300);
  const vocabulary = Object.fromEntries(pieces.map(({ text }, id) => [text, id]));
  const merges = mergesOf(pieces);
  const special = pieces.slice(0, 3).map(({ text: content }, id) => ({ id, content, special: true }));
  const tokenizerJson = (overrides: Record<string, unknown> = {}): Record<string, unknown> => ({
    added_tokens: special,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    model: { type: "BPE", vocab: vocabulary, merges, unk_token: "<unk>", byte_fallback: true, ...overrides },
  });
  const config = { "tokenizer_config.json": { bos_token: "<s>", eos_token: "</s>" } };
  const read = (json: Record<string, unknown>) =>
    readTokenizer(newFolder({ "tokenizer.json": json, ...config }), {
      ...MODEL,
      vocabularySize: pieces.length,
    });

  it("gives the tokens that its merges say, and those of the SentencePiece model", async () => {
    const native = await loadNativeVocabulary(await read(tokenizerJson()));
    const byScore = sentencePieceEncoder({
      pieces: pieces.map(({ text, score, type }) => ({ text, score, plain: type === 1 })),
      added: special,
      prefix: true,
    });
    const byRank = mergingEncoder({ vocabulary, merges, added: special, prefix: true });
    const check = (sample: string): void => {
      expect([sample, native.encode(sample)]).toEqual([sample, byScore(sample)]);
      expect([sample, native.encode(sample)]).toEqual([sample, byRank(sample)]);
    };
    for (const picked of [...PICKED, ...text.split("\n")]) check(picked);
    fc.assert(fc.property(texts, check), { numRuns: 500 });
    native.close();
  });

  it("reads the merges of newer files, which use Metaspace, and of older ones, which write strings", async () => {
    const expected = await read(tokenizerJson());
    const metaspace = {
      ...tokenizerJson({ merges: merges.map((merge) => merge.join(" ")) }),
      normalizer: null,
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    };
    expect(await read(metaspace)).toEqual(expected);
    const none = { ...metaspace.pre_tokenizer, prepend_scheme: "never" };
    const keys = await read({ ...metaspace, pre_tokenizer: none });
    expect(keys.get("tokenizer.ggml.add_space_prefix")).toEqual({ type: "bool", value: false });
  });

  it("gives the first token back the place that older libraries took from it", async () => {
    // They leave out whatever has a score of 0.
    const first = pieces.find(({ type, score }) => type === 1 && score === 0)?.text;
    const without = merges.filter((merge) => merge.join("") !== first);
    const native = await loadNativeVocabulary(await read(tokenizerJson({ merges: without })));
    const byScore = sentencePieceEncoder({
      pieces: pieces.map(({ text, score, type }) => ({ text, score, plain: type === 1 })),
      added: special,
      prefix: true,
    });
    for (const line of text.split("\n")) expect(native.encode(line)).toEqual(byScore(line));
    native.close();
  });

  it("takes the leftmost of several ways to the same token, as SentencePiece does", async () => {
    const repeated = [
      ...pieces.slice(0, 259),
      ...["▁a", "aa", "aaa", "▁", "a"].map((text, index) => ({ text, score: -index, type: 1 })),
    ];
    const json = tokenizerJson({
      vocab: Object.fromEntries(repeated.map(({ text }, id) => [text, id])),
      // The list prefers (aa, a), which lies further right in ▁a|a|aa|… than (a, aa).
      merges: mergesOf(repeated),
    });
    const keys = await readTokenizer(newFolder({ "tokenizer.json": json, ...config }), {
      ...MODEL,
      vocabularySize: repeated.length,
    });
    const native = await loadNativeVocabulary(keys);
    const byScore = sentencePieceEncoder({
      pieces: repeated.map(({ text, score, type }) => ({ text, score, plain: type === 1 })),
      added: special,
      prefix: true,
    });
    for (let length = 1; length < 12; length++) {
      expect(native.encode("a".repeat(length))).toEqual(byScore("a".repeat(length)));
    }
    native.close();
  });

  it("refuses merges that scores cannot express, by name", async () => {
    const tokens = merges.map((merge) => merge.join(""));
    // Of a token with two merges, one is taken away, or moved behind all others.
    const place = tokens.findIndex((token, index) => tokens[index + 1] === token);
    const [left, right] = merges[place] as [string, string];
    const others = merges.filter((_, index) => index !== place);
    await expect(read(tokenizerJson({ merges: others }))).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining(`no merge joins "${left}" and "${right}"`),
    });
    await expect(read(tokenizerJson({ merges: [...others, [left, right]] }))).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining(`the merges of "${left}${right}" do not stand together`),
    });
  });
});
