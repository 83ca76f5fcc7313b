import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newModelFolder } from "../../../../test/support/model-folders.ts";
import { loadNativeVocabulary } from "../../../../test/support/native-vocabulary.ts";
import { byteLevelEncoder } from "../../../../test/support/plain-tokenizers.ts";
import { PRE_TOKENIZER_CASES, patternsOf } from "../../../../test/support/pre-tokenizer-cases.ts";
import { temporaryFolder } from "../../../../test/support/tiny-models.ts";
import { trainByteLevel } from "../../../../test/support/tiny-vocabularies.ts";
import { readTokenizer } from "./read-tokenizer.ts";

const text = readFileSync(
  fileURLToPath(new URL("../../../../test/fixtures/tokenizer/text.txt", import.meta.url)),
  "utf8",
);
const folder = temporaryFolder();

const newFolder = (files: Record<string, unknown>): string => newModelFolder(folder.path, files);

const ASCII = Array.from("aehnstwTHESWMDRLdrvm'' \n\t\r.,!?-_/()[]{}<>$+=^|~`0123456789");
const BEYOND = Array.from("éßñÄКошка今天公猫これ한국١٢½①…—“”。、！\u00a0\u3000\u0301🚀👍🏽\u200d");
const PICKED = [
  "",
  " ",
  "   a  b   ",
  "\n\n  \n x",
  "I'm told they'LL say it's over, WE'VE seen",
  "1234567890 12 3 x1y22",
  "def f(x):\n    return x\n",
  "<|im_start|>user\nhi<|im_end|>\n",
  "<|im_end|><|im_end|>",
  "a<extra>b <extra> c",
  "HELLO World camelCase snake_case",
];

describe.each(PRE_TOKENIZER_CASES)("a vocabulary over bytes, cut as $name", (source) => {
  const patterns = patternsOf(source.preTokenizer);
  const { vocabulary, merges } = trainByteLevel(text, patterns, 350);
  const size = Object.keys(vocabulary).length;
  const added = [
    { id: size, content: "<|im_start|>", special: true },
    { id: size + 1, content: "<|im_end|>", special: true },
    { id: size + 3, content: "<extra>", special: false },
  ];
  const path = (): string =>
    newFolder({
      "tokenizer.json": {
        added_tokens: added,
        pre_tokenizer: source.preTokenizer,
        model: { type: "BPE", vocab: vocabulary, merges, ignore_merges: source.ignoreMerges },
      },
      "tokenizer_config.json": { eos_token: "<|im_end|>" },
    });
  const expected = byteLevelEncoder({
    vocabulary,
    merges,
    added,
    patterns,
    ignoreMerges: source.ignoreMerges,
  });
  const units = source.asciiOnly === true ? ASCII : [...ASCII, ...BEYOND];
  const texts = fc.oneof(
    fc.string({ unit: fc.constantFrom(...units), maxLength: 40 }),
    fc
      .array(
        fc.constantFrom(
          ...text.split(/(?<=\s)/).filter((word) => source.asciiOnly !== true || /^[\0-~]*$/.test(word)),
          "<|im_end|>",
          "<extra>",
        ),
        { maxLength: 12 },
      )
      .map((words) => words.join("")),
  );

  it("gives the engine the tokens that its file says", async () => {
    const keys = await readTokenizer(path(), { vocabularySize: size + 10, architecture: "qwen2" });
    expect(keys.get("tokenizer.ggml.pre")).toEqual({ type: "string", value: source.name });
    const native = await loadNativeVocabulary(keys);
    const check = (sample: string): void => {
      expect([sample, native.encode(sample)]).toEqual([sample, expected(sample)]);
    };
    for (const picked of PICKED) check(picked);
    fc.assert(fc.property(texts, check), { numRuns: 300 });
    fc.assert(
      fc.property(texts, (sample) => {
        const shown = sample.replaceAll("<|im_end|>", "");
        expect(native.decode(native.encode(sample))).toBe(shown);
      }),
    );
    native.close();
  });
});
