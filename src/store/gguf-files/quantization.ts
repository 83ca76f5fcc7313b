/**
 * How a quantization is written in names of files: `Q4_K_M`, `IQ3_XXS`, `bf16`, `MXFP4_MOE`; `UD-` in front marks
 * Unsloth's mixtures.
 */
const QUANTIZATION =
  "(?:UD-)?(?:I?Q\\d{1,2}(?:_(?:K|NL|XXS|XS|S|M|L|XXL|XL|\\d))*|TQ\\d_\\d|(?:BF|FP?)(?:16|32)|MXFP4(?:_MOE)?|NVFP4)";

/** A whole token: `Q4_K_M` is in `llava_Q4_K_M.gguf`, and neither in `Q4_K_MX` nor in `IQ4_K_M`. */
const IN_NAME = new RegExp(`(?<![a-z0-9])${QUANTIZATION}(?![a-z0-9_])`, "gi");
const WHOLE = new RegExp(`^${QUANTIZATION}$`, "i");

/** Tried in this order when nobody asks for one: close to 4 bits and larger first, for the least loss at that size. */
const USUAL_ORDER: readonly string[] = (
  "Q4_K_M Q4_K Q4_K_XL Q4_K_L Q4_K_S IQ4_NL IQ4_XS Q4_1 Q4_0 MXFP4 MXFP4_MOE NVFP4 " +
  "Q5_K_M Q5_K Q5_K_XL Q5_K_L Q5_K_S Q5_1 Q5_0 Q6_K Q6_K_XL Q6_K_L Q8_0 Q8_K_XL " +
  "Q3_K_M Q3_K Q3_K_XL Q3_K_L Q3_K_S IQ3_M IQ3_S IQ3_XS IQ3_XXS " +
  "Q2_K Q2_K_XL Q2_K_L Q2_K_S IQ2_M IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S F16 BF16 F32"
).split(" ");

/** In capitals, `FP16` as `F16`. */
export function normalizeQuantization(text: string): string {
  return text.toUpperCase().replace(/^FP/, "F");
}

/** Whether a text is a quantization's name and nothing else. */
export function isQuantization(text: string): boolean {
  return WHOLE.test(text);
}

/** By the name of the file, else by the folder it lies in (`Q4_K_M/model.gguf`). Undefined: the path does not say. */
export function quantizationOfPath(path: string): string | undefined {
  const [file = "", folder = ""] = path.split("/").toReversed();
  for (const name of [file.replace(/(-\d{5}-of-\d{5})?\.gguf$/i, ""), folder]) {
    const last = name.match(IN_NAME)?.at(-1);
    if (last !== undefined) return normalizeQuantization(last);
  }
  return undefined;
}

/** `Q4_K_XL` of `UD-Q4_K_XL`. */
export function baseQuantization(label: string): string {
  return label.replace(/^UD-/, "");
}

/** 0 is what to take first; undefined for one that is never taken unasked while another is there. */
export function usualRank(label: string): number | undefined {
  const index = USUAL_ORDER.indexOf(baseQuantization(label));
  return index < 0 ? undefined : index;
}

/** `llava-7b` of `llava-7b-Q4_K_M`; a name that is nothing else stays. */
export function withoutQuantization(stem: string): string {
  const short = stem.replace(new RegExp(`[-._ ]+${QUANTIZATION}$`, "i"), "");
  return short === "" ? stem : short;
}
