import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { isObject } from "./json-values.ts";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const OTHER = String.raw`[^\r\n\p{L}\p{N}]?`;
const REST_WITH_SLASH = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const DEEPSEEK_LETTERS = String.raw`\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`;
const DEEPSEEK_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";

/**
 * How a tokenizer cuts a text into words before it merges, and the name that the engine has for it. A step is
 * `split PATTERN`, `digits one` or `digits all`, `punctuation`, `words` (the pattern of GPT-2) or `bytes` (cuts nothing).
 */
interface PreTokenizer {
  name: string;
  steps: readonly string[];
  /** Whether a word that is a token is taken as it is, whatever the merges say. */
  ignoreMerges: boolean;
}

/** Of Qwen2 to Qwen3. */
export const QWEN2_PATTERN: string = `${CONTRACTIONS}|${WORD}|\\p{N}|${REST}`;

const KNOWN: readonly PreTokenizer[] = [
  { name: "gpt-2", steps: ["words"], ignoreMerges: false },
  {
    name: "llama-bpe",
    steps: [`split ${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`, "bytes"],
    ignoreMerges: true,
  },
  // The same pattern in a model that follows its merges.
  {
    name: "dbrx",
    steps: [`split ${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`, "bytes"],
    ignoreMerges: false,
  },
  {
    name: "qwen2",
    steps: [`split ${QWEN2_PATTERN}`, "bytes"],
    ignoreMerges: false,
  },
  {
    name: "qwen35",
    steps: [
      String.raw`split ${CONTRACTIONS}|${OTHER}[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
      "bytes",
    ],
    ignoreMerges: false,
  },
  {
    name: "tekken",
    steps: [
      String.raw`split ${OTHER}${UPPER}*${LOWER}+|${OTHER}${UPPER}+${LOWER}*|\p{N}|${REST_WITH_SLASH}`,
      "bytes",
    ],
    ignoreMerges: true,
  },
  {
    name: "gpt-4o",
    steps: [
      String.raw`split ${OTHER}${UPPER}*${LOWER}+${CONTRACTIONS}?|${OTHER}${UPPER}+${LOWER}*${CONTRACTIONS}?|\p{N}{1,3}|${REST_WITH_SLASH}`,
      "bytes",
    ],
    ignoreMerges: false,
  },
  { name: "smollm", steps: ["digits one", "words"], ignoreMerges: false },
  {
    name: "falcon",
    steps: ["punctuation", "words", "digits all", "split [0-9][0-9][0-9]"],
    ignoreMerges: false,
  },
  {
    name: "deepseek-llm",
    steps: [
      String.raw`split [\r\n]`,
      String.raw`split ${DEEPSEEK_LETTERS}`,
      String.raw`split \s?[!-/:-~！-／：-～‘-‟　-。]+`,
      String.raw`split \s+$`,
      `split ${DEEPSEEK_CJK}`,
      // Its vocabulary merges no digits, so that the engine's "all digits" comes to the same.
      "digits one",
      "bytes",
    ],
    ignoreMerges: false,
  },
  {
    name: "deepseek-coder",
    steps: [
      String.raw`split [\r\n]`,
      String.raw`split \s?\p{L}+`,
      String.raw`split \s?\p{P}+`,
      `split ${DEEPSEEK_CJK}`,
      "digits one",
      "bytes",
    ],
    ignoreMerges: false,
  },
  {
    name: "deepseek-v3",
    steps: [
      String.raw`split \p{N}{1,3}`,
      "split [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      "split " +
        String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` +
        "`" +
        String.raw`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
      "bytes",
    ],
    ignoreMerges: false,
  },
];

const NAMES: ReadonlyMap<string, string> = new Map(
  KNOWN.map(({ name, steps, ignoreMerges }) => [keyOf(steps, ignoreMerges), name]),
);

/**
 * The value of `tokenizer.ggml.pre` for the `pre_tokenizer` of a `tokenizer.json`, recognised by its exact steps.
 *
 * @param ignoreMerges `model.ignore_merges`
 * @throws MullError `invalid_model` that shows the pattern, for any other: with a wrong one the model would read wrong
 *   tokens without a word
 */
export function recognisePreTokenizer(path: string, value: unknown, ignoreMerges: boolean): string {
  const steps = stepsOf(value);
  const name = NAMES.get(keyOf(steps, ignoreMerges));
  if (name !== undefined) return name;
  const shown = steps.map(quote).join(", ") || "nothing";
  throw invalidModel(
    path,
    `"pre_tokenizer" cuts words in a way that the engine does not know: ${shown.slice(0, 1000)}` +
      (ignoreMerges ? `, with "ignore_merges"` : ""),
    `Known are ${[...NAMES.values()].join(", ")}. Take a GGUF of this model that others have converted.`,
  );
}

/** Whether a text is written in the 256 characters that stand for bytes: the other kind has `▁` for spaces. */
export function isByteLevel(preTokenizer: unknown): boolean {
  return flatten(preTokenizer).some((step) => isObject(step) && step["type"] === "ByteLevel");
}

/** Steps as in `KNOWN`; what those cannot say becomes its JSON, which matches none. */
function stepsOf(preTokenizer: unknown): string[] {
  return flatten(preTokenizer).map((step) => {
    if (!isObject(step)) return "? no object";
    return stepOf(step) ?? `? ${textOr(step["type"], "no type")} ${textOr(regexOf(step), "")}`;
  });
}

function stepOf(step: Readonly<Record<string, unknown>>): string | undefined {
  const { type, behavior, invert = false } = step;
  const regex = regexOf(step);
  if (type === "Split" && typeof regex === "string") {
    // Every part of a text matches such a pattern, so that keeping the matches alone loses nothing.
    const isolated = behavior === "Isolated" && invert === false;
    const matches = behavior === "Removed" && invert === true && regex.endsWith(String.raw`|\s+`);
    return isolated || matches ? `split ${regex}` : undefined;
  }
  if (type === "Digits") return step["individual_digits"] === true ? "digits one" : "digits all";
  if (type === "Punctuation") return behavior === "Contiguous" ? "punctuation" : undefined;
  if (type === "ByteLevel" && step["add_prefix_space"] === false) {
    return step["use_regex"] === false ? "bytes" : "words";
  }
  return undefined;
}

function regexOf({ pattern }: Readonly<Record<string, unknown>>): unknown {
  return isObject(pattern) ? pattern["Regex"] : undefined;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

function flatten(preTokenizer: unknown): unknown[] {
  if (isObject(preTokenizer) && preTokenizer["type"] === "Sequence") {
    const steps = preTokenizer["pretokenizers"];
    return Array.isArray(steps) ? steps : [];
  }
  return preTokenizer === undefined || preTokenizer === null ? [] : [preTokenizer];
}

/** Line breaks stand in a pattern as themselves or escaped. */
function keyOf(steps: readonly string[], ignoreMerges: boolean): string {
  const escaped = steps.map((step) => step.replaceAll("\r", String.raw`\r`).replaceAll("\n", String.raw`\n`));
  return JSON.stringify([ignoreMerges, ...escaped]);
}
