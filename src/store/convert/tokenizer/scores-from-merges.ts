import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import type { BytePairModel } from "./tokenizer-json.ts";

/** Work on the longest tokens, as the sum of squared lengths; the largest vocabularies there are need 2^26. */
const MAX_WORK = 2 ** 31;

/**
 * Scores that make a tokenizer which joins the pair with the best *result* do what the merges of a `tokenizer.json`
 * say, which rank *pairs*.
 *
 * The two agree if (1) whatever adjacent tokens could be joined into a token may be joined, by a merge of theirs, and
 * (2) all merges that make one token stand together in the order: then the place of the token is the rank of all of
 * them. Files that were made from a SentencePiece model are like that, since they list every pair. One exception is
 * known: some of them lack all merges of the very first token, because its score is 0; it is given back its place.
 *
 * Among merges of one token, the tokenizer takes the leftmost and the merges may say otherwise (`a aa` or `aa a` in
 * `aaaa`). SentencePiece, which the file was made from, takes the leftmost, too.
 *
 * @param isPlain whether a token takes part in merges: bytes and special tokens do not
 * @returns the score of each token that is made by a merge
 * @throws MullError `invalid_model` for merges that no scores can express
 */
export function scoresFromMerges(
  path: string,
  model: BytePairModel,
  isPlain: (token: string) => boolean,
): Map<string, number> {
  const scores = new Map<string, number>();
  /** Of pairs by the length of their left half. */
  const splits = new Map<string, Set<number>>();
  let last: string | undefined;
  for (const [rank, [left, right]] of model.merges.entries()) {
    const token = left + right;
    if (token !== last && scores.has(token)) {
      throw inexpressible(
        path,
        `the merges of ${quote(token)} do not stand together (one is number ${rank})`,
      );
    }
    if (token !== last) scores.set(token, -1 - scores.size);
    const lengths = splits.get(token) ?? new Set();
    splits.set(token, lengths.add(left.length));
    last = token;
  }
  const first = checkComplete(path, model, splits, isPlain);
  if (first !== undefined) scores.set(first, 0);
  return scores;
}

/** @returns the first token, if it lacks its merges */
function checkComplete(
  path: string,
  { vocabulary, merges }: BytePairModel,
  splits: ReadonlyMap<string, ReadonlySet<number>>,
  isPlain: (token: string) => boolean,
): string | undefined {
  let work = 0;
  let orphan: string | undefined;
  const isPart = (text: string): boolean => isCharacter(text) || (vocabulary.has(text) && isPlain(text));
  for (const token of vocabulary.keys()) {
    if (isCharacter(token) || !isPlain(token)) continue;
    work += token.length ** 2;
    if (work > MAX_WORK) throw invalidModel(path, "the tokens are too long to be looked through");
    const known = splits.get(token);
    for (let length = 1; length < token.length; length++) {
      if (known?.has(length)) continue;
      const [left, right] = [token.slice(0, length), token.slice(length)];
      // Between the halves of a surrogate pair there is no split.
      if (!left.isWellFormed() || !isPart(left) || !isPart(right)) continue;
      if (known !== undefined || (orphan !== undefined && orphan !== token)) {
        throw inexpressible(path, `no merge joins ${quote(left)} and ${quote(right)}`);
      }
      orphan = token;
    }
  }
  if (orphan === undefined) return undefined;
  // In order of rank, numbers grow: the first token is the one before the first merge.
  const [merge] = merges;
  const place = vocabulary.get(orphan) as number;
  if (merge !== undefined && (vocabulary.get(merge.join("")) as number) > place) return orphan;
  throw inexpressible(path, `no merge makes ${quote(orphan)}`);
}

function isCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && (text.codePointAt(0) as number) > 0xffff);
}

function inexpressible(path: string, problem: string): Error {
  return invalidModel(
    path,
    `"model.merges" cannot be turned into scores of tokens, which the engine merges by: ${problem}`,
    "Put the tokenizer.model of this model beside it: it holds the scores.",
  );
}
