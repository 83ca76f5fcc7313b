import { quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";
import { type GgufGroup, fileName, folderOf, missingParts, stemOf } from "./gguf-group.ts";
import { baseQuantization, isQuantization, normalizeQuantization, usualRank } from "./quantization.ts";

const MOST_SHOWN = 40;

export interface Variant {
  /** Of its first part, with `/` between folders. */
  path: string;
  quantization: string | undefined;
}

/**
 * Which of some models somebody means. Several are as good as each other; none fits.
 *
 * @param wanted a quantization (case does not matter), the name of a file, or a whole word of it; undefined: `Q4_K_M`,
 *   else what comes next in the usual order, else the only one there is
 */
export function chooseVariants<T extends Variant>(
  variants: readonly T[],
  wanted: string | undefined,
): readonly T[] {
  if (wanted === undefined) return best(variants, (variant) => usualScore(variant, variants.length));
  const byName = best(variants, (variant) => nameScore(variant, wanted));
  if (byName.length > 0) return byName;
  if (isQuantization(wanted)) {
    const label = normalizeQuantization(wanted);
    return best(variants, (variant) => labelScore(variant, label));
  }
  const word = wordPattern(wanted);
  return best(variants, ({ path }) => (word.test(path) ? 0 : undefined));
}

/**
 * The one model of a repository or folder that somebody means.
 *
 * @param where what holds the files, for messages: `hf.co/org/repo`
 * @throws MullError `model_not_found` listing what there is; `invalid_argument` when several fit; `invalid_model` when
 *   parts are missing
 */
export function chooseGguf(
  groups: readonly GgufGroup[],
  wanted: string | undefined,
  where: string,
): GgufGroup {
  const variants = groups
    .filter(({ role }) => role === "model")
    .map((group) => ({ path: group.parts[0] ?? "", quantization: group.quantization, group }));
  const chosen = chooseVariants(variants, wanted);
  const [first, second] = chosen;
  if (first === undefined) throw notThere(variants, wanted, where);
  if (second !== undefined) {
    const names = shown(chosen.map(({ path }) => path));
    throw new MullError("invalid_argument", `${where} has several models that fit: ${names}.`, {
      hint: `Name the file, such as ${where}:${fileName(second.path)}`,
    });
  }
  const missing = missingParts(first.group);
  if (missing.length > 0) {
    const problem = `${first.group.count - first.group.parts.length} of ${first.group.count} parts are missing: ${shown(missing)}`;
    throw new MullError("invalid_model", `${where} is incomplete: ${problem}.`, {
      hint: "Choose another quantization, or tell those who published it.",
      details: { missing: missing.slice(0, MOST_SHOWN) },
    });
  }
  return first.group;
}

function notThere(variants: readonly Variant[], wanted: string | undefined, where: string): MullError {
  if (variants.length === 0) {
    return new MullError("model_not_found", `${where} has no GGUF file of a text model.`, {
      hint: "Look for a repository with GGUF in its name, which holds the model converted.",
    });
  }
  const labels = [
    ...new Set(variants.map(({ path, quantization }) => quantization ?? fileName(path))),
  ].sort();
  return new MullError("model_not_found", `${where} has no ${quote(wanted ?? "Q4_K_M")}.`, {
    hint: `There is ${shown(labels)}.`,
    details: { available: labels.slice(0, MOST_SHOWN) },
  });
}

/** Names are a stranger's: no control character of them reaches a terminal. */
function shown(names: readonly string[]): string {
  const list = names.slice(0, MOST_SHOWN).map((name) => quote(name).slice(1, -1));
  return list.join(", ") + (names.length > MOST_SHOWN ? ` and ${names.length - MOST_SHOWN} more` : "");
}

/** Those with the least score; undefined is out of the question. */
function best<T>(items: readonly T[], score: (item: T) => number | undefined): readonly T[] {
  let least = Infinity;
  let chosen: T[] = [];
  for (const item of items) {
    const value = score(item);
    if (value === undefined || value > least) continue;
    if (value < least) chosen = [];
    least = value;
    chosen.push(item);
  }
  return chosen;
}

/** At the same quantization the plain one before Unsloth's mixture, and what lies on top before what lies deep. */
function usualScore({ path, quantization }: Variant, count: number): number | undefined {
  const rank = quantization === undefined ? undefined : usualRank(quantization);
  if (rank === undefined) return count === 1 ? 0 : undefined;
  return rank * 1000 + (quantization?.startsWith("UD-") === true ? 500 : 0) + depthOf(path);
}

function labelScore({ path, quantization }: Variant, label: string): number | undefined {
  if (quantization === label) return depthOf(path);
  return quantization !== undefined && baseQuantization(quantization) === label
    ? 500 + depthOf(path)
    : undefined;
}

function nameScore({ path }: Variant, wanted: string): number | undefined {
  const names = [fileName(path), stemOf(path)];
  if (names.includes(wanted)) return depthOf(path);
  const lower = wanted.toLowerCase();
  return names.some((name) => name.toLowerCase() === lower) ? 500 + depthOf(path) : undefined;
}

function depthOf(path: string): number {
  return Math.min(499, folderOf(path).split("/").filter(Boolean).length);
}

function wordPattern(word: string): RegExp {
  const escaped = word.replaceAll(/[.*+?^${}()|[\]\\-]/g, String.raw`\$&`);
  return new RegExp(`(?<![a-z0-9_])${escaped}(?![a-z0-9_])`, "i");
}
