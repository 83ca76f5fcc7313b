/** Pre-tokenizers as published models have them in `tokenizer.json`, under the name that GGUF has for each. */
export interface PreTokenizerCase {
  name: string;
  preTokenizer: unknown;
  ignoreMerges: boolean;
  /** Characters beyond ASCII are left out of the comparison where the engine's own pattern is a simplified one. */
  asciiOnly?: boolean;
}

const split = (Regex: string): unknown => ({
  type: "Split",
  pattern: { Regex },
  behavior: "Isolated",
  invert: false,
});
const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const words = { ...bytes, use_regex: true };
const digits = (individual_digits: boolean): unknown => ({ type: "Digits", individual_digits });
const sequence = (...pretokenizers: unknown[]): unknown => ({ type: "Sequence", pretokenizers });

const LLAMA3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const QWEN2 = LLAMA3.replace("{1,3}", "");
const QWEN35 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const TEKKEN = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const GPT4O = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

export const PRE_TOKENIZER_CASES: readonly PreTokenizerCase[] = [
  { name: "gpt-2", preTokenizer: words, ignoreMerges: false },
  { name: "llama-bpe", preTokenizer: sequence(split(LLAMA3), bytes), ignoreMerges: true },
  { name: "dbrx", preTokenizer: sequence(split(LLAMA3), bytes), ignoreMerges: false },
  { name: "qwen2", preTokenizer: sequence(split(QWEN2), bytes), ignoreMerges: false },
  { name: "qwen35", preTokenizer: sequence(split(QWEN35), bytes), ignoreMerges: false },
  { name: "tekken", preTokenizer: sequence(split(TEKKEN), bytes), ignoreMerges: true, asciiOnly: true },
  {
    name: "gpt-4o",
    preTokenizer: sequence(
      { type: "Split", pattern: { Regex: GPT4O }, behavior: "Removed", invert: true },
      bytes,
    ),
    ignoreMerges: false,
    asciiOnly: true,
  },
  { name: "smollm", preTokenizer: sequence(digits(true), words), ignoreMerges: false },
  {
    name: "falcon",
    preTokenizer: sequence(
      { type: "Punctuation", behavior: "Contiguous" },
      words,
      digits(false),
      split("[0-9][0-9][0-9]"),
    ),
    ignoreMerges: false,
    asciiOnly: true,
  },
  {
    name: "deepseek-llm",
    preTokenizer: sequence(
      split("[\r\n]"),
      split(
        String.raw`\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`,
      ),
      split(String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`),
      split(String.raw`\s+$`),
      split("[一-龥ࠀ-一가-퟿]+"),
      digits(true),
      bytes,
    ),
    ignoreMerges: false,
  },
  {
    name: "deepseek-coder",
    preTokenizer: sequence(
      split("[\r\n]"),
      split(String.raw`\s?\p{L}+`),
      split(String.raw`\s?\p{P}+`),
      split("[一-龥ࠀ-一가-퟿]+"),
      digits(true),
      bytes,
    ),
    ignoreMerges: false,
  },
  {
    name: "deepseek-v3",
    preTokenizer: sequence(
      split(String.raw`\p{N}{1,3}`),
      split("[一-龥぀-ゟ゠-ヿ]+"),
      split(
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
      ),
      bytes,
    ),
    ignoreMerges: false,
  },
];

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** The same as patterns of JavaScript, each cutting what those before it left. */
export function patternsOf(preTokenizer: unknown): RegExp[] {
  const step = preTokenizer as {
    type: string;
    pretokenizers?: unknown[];
    pattern?: { Regex: string };
    use_regex?: boolean;
    individual_digits?: boolean;
  };
  if (step.pretokenizers !== undefined) return step.pretokenizers.flatMap(patternsOf);
  if (step.type === "ByteLevel") return step.use_regex === false ? [] : [pattern(GPT2)];
  if (step.type === "Digits") return [pattern(step.individual_digits === true ? "\\p{N}" : "\\p{N}+")];
  if (step.type === "Punctuation") return [pattern("[\\p{P}!-\\/:-@\\[-`\\{-~]+")];
  return [pattern(step.pattern?.Regex ?? "")];
}

/** JavaScript of Node 20 has no `(?i:…)`, and counts other characters as spaces. */
function pattern(source: string): RegExp {
  const plain = source
    .replaceAll("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])")
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`);
  return new RegExp(plain, "gu");
}
