import { join } from "node:path";
import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { optionalText } from "./json-values.ts";
import type { JsonFile, ModelFolder } from "./model-folder.ts";
import { QWEN2_PATTERN } from "./pre-tokenizers.ts";

const MAX_MERGES_BYTES = 64 * 2 ** 20;
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: true };

/** How the classes that read `vocab.json` and `merges.txt` cut a text into words. */
const PRE_TOKENIZERS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["GPT2Tokenizer", BYTE_LEVEL],
  [
    "Qwen2Tokenizer",
    {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: QWEN2_PATTERN }, behavior: "Isolated" },
        { ...BYTE_LEVEL, use_regex: false },
      ],
    },
  ],
]);

/**
 * The older form of a vocabulary over bytes, `vocab.json` with `merges.txt`, in the form of a `tokenizer.json`.
 * Undefined if the folder does not hold both.
 */
export async function readSlowTokenizer(
  files: ModelFolder,
  tokenizerConfig: JsonFile,
): Promise<JsonFile | undefined> {
  const vocabulary = await files.vocabulary("vocab.json");
  const merges = await files.text("merges.txt", MAX_MERGES_BYTES);
  if (vocabulary === undefined || merges === undefined) return undefined;
  const { path, root } = tokenizerConfig;
  const name = optionalText(path, `"tokenizer_class"`, root["tokenizer_class"]) ?? "";
  const preTokenizer = PRE_TOKENIZERS.get(name.replace(/Fast$/, ""));
  if (preTokenizer === undefined) {
    throw invalidModel(
      path,
      `"tokenizer_class" is ${quote(name)}; without a tokenizer.json only ${[...PRE_TOKENIZERS.keys()].join(" and ")} are known`,
    );
  }
  const lines = merges.split("\n").map((line) => line.replace(/\r$/, ""));
  return {
    path: join(files.path, "vocab.json and merges.txt"),
    root: {
      pre_tokenizer: preTokenizer,
      model: {
        type: "BPE",
        vocab: vocabulary.root,
        merges: lines.filter((line, index) => line !== "" && !(index === 0 && line.startsWith("#version"))),
      },
    },
  };
}
