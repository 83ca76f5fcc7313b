import { type GgufGroup, folderOf, stemOf } from "./gguf-group.ts";

/**
 * Best first. Encoders are trained and published in f16; f32 takes twice the room for the same values, bf16 rounds
 * them to 8 bits, and what is quantised below lost more. All of them run.
 */
const PRECISIONS: readonly (string | undefined)[] = ["F16", "BF16", "F32", "Q8_0"];

/**
 * The projector that goes with a model: in the model's folder, else in one above it, else anywhere; then the one whose
 * name says it is this model's; then by precision. Undefined: there is none, and the model takes text only.
 */
export function chooseProjector(groups: readonly GgufGroup[], model: GgufGroup): GgufGroup | undefined {
  const modelPath = model.parts[0] ?? "";
  const words = wordsOf(modelPath);
  const scored = groups
    .filter(({ role, parts, count }) => role === "projector" && parts.length === count)
    .map((group) => {
      const path = group.parts[0] ?? "";
      const precision = PRECISIONS.indexOf(group.quantization);
      const own = wordsOf(path).filter((word) => word !== "model");
      const strange = own.filter((word) => !words.includes(word)).length;
      const score = [
        distance(folderOf(modelPath), folderOf(path)),
        strange,
        // Of two that name nothing strange, the one that names more of the model.
        -own.length,
        precision < 0 ? PRECISIONS.length : precision,
      ];
      return { group, score };
    });
  return scored.sort((a, b) => compare(a.score, b.score))[0]?.group;
}

/** 0: the same folder; n: that many folders up; large: elsewhere. */
function distance(from: string, to: string): number {
  if (from === to) return 0;
  const above = to === "" || from.startsWith(`${to}/`);
  const depth = (folder: string): number => folder.split("/").filter(Boolean).length;
  return above ? depth(from) - depth(to) : 1000;
}

/** Words of a name that say which model it is, in small letters. */
function wordsOf(path: string): readonly string[] {
  const words = stemOf(path)
    .toLowerCase()
    .replaceAll(/mmproj|ggml|gguf/g, " ")
    .split(/[^a-z0-9]+/);
  return words.filter(
    (word) => word !== "" && !/^(?:i?q\d+|k|s|m|l|xl|xs|xxs|nl|ud|b?f16|fp16|f32|fp32|[01])$/.test(word),
  );
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}
