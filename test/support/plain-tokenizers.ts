/** Tokenizers as their definitions say, without a care for speed: what the engine's are compared with. */
export type Encode = (text: string) => number[];

export interface AddedToken {
  id: number;
  content: string;
}

/** Joins adjacent symbols until none can be: of all pairs the best, of equal ones the leftmost. */
function joinBest(
  symbols: readonly string[],
  rank: (left: string, right: string) => number | undefined,
): string[] {
  const joined = [...symbols];
  for (;;) {
    let [best, place] = [Infinity, -1];
    for (let index = 0; index + 1 < joined.length; index++) {
      const found = rank(joined[index] as string, joined[index + 1] as string) ?? Infinity;
      if (found < best) [best, place] = [found, index];
    }
    if (place < 0) return joined;
    joined.splice(place, 2, `${joined[place]}${joined[place + 1]}`);
  }
}

/** Cuts a text at tokens that are matched as a whole: at each place the longest. */
function cutAtTokens(text: string, added: readonly AddedToken[]): (string | number)[] {
  const longestFirst = [...added].sort((a, b) => b.content.length - a.content.length);
  const parts: (string | number)[] = [];
  let start = 0;
  for (let index = 0; index < text.length;) {
    const match = longestFirst.find(({ content }) => content !== "" && text.startsWith(content, index));
    if (match === undefined) {
      index++;
      continue;
    }
    if (index > start) parts.push(text.slice(start, index));
    parts.push(match.id);
    index += match.content.length;
    start = index;
  }
  if (start < text.length) parts.push(text.slice(start));
  return parts;
}

function spell(symbol: string, ids: ReadonlyMap<string, number>): number[] {
  const id = ids.get(symbol);
  if (id !== undefined) return [id];
  const bytes = [...new TextEncoder().encode(symbol)];
  return bytes.map((byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    const found = ids.get(name);
    if (found === undefined) throw new Error(`no token spells ${name}`);
    return found;
  });
}

/** A space in front of the text and after each added token, if `prefix`; then `▁` for spaces. */
function withSpaces(
  added: readonly AddedToken[],
  prefix: boolean,
  encodeWords: (text: string) => number[],
): Encode {
  return (text) =>
    cutAtTokens(text, added).flatMap((part) =>
      typeof part === "number" ? part : encodeWords(`${prefix ? " " : ""}${part}`.replaceAll(" ", "\u2581")),
    );
}

/** SentencePiece BPE: the pair whose result has the highest score is joined first. */
export function sentencePieceEncoder(source: {
  pieces: readonly { text: string; score: number; plain: boolean }[];
  added: readonly AddedToken[];
  prefix: boolean;
}): Encode {
  const ids = new Map(source.pieces.map(({ text }, id) => [text, id]));
  const scores = new Map(source.pieces.filter(({ plain }) => plain).map(({ text, score }) => [text, score]));
  const rank = (left: string, right: string): number | undefined => {
    const score = scores.get(left + right);
    return score === undefined ? undefined : -score;
  };
  return withSpaces(source.added, source.prefix, (text) =>
    joinBest(Array.from(text), rank).flatMap((symbol) => spell(symbol, ids)),
  );
}

function ranksOf(
  merges: readonly (readonly [string, string])[],
): (a: string, b: string) => number | undefined {
  const ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
  return (left, right) => ranks.get(`${left} ${right}`);
}

/** The same vocabulary by merges, as the tokenizers library does it: the first pair of the list is joined first. */
export function mergingEncoder(source: {
  vocabulary: Readonly<Record<string, number>>;
  merges: readonly (readonly [string, string])[];
  added: readonly AddedToken[];
  prefix: boolean;
}): Encode {
  const ids = new Map(Object.entries(source.vocabulary));
  const rank = ranksOf(source.merges);
  return withSpaces(source.added, source.prefix, (text) =>
    // A character without a token is spelled in bytes before anything is joined.
    joinBest(Array.from(text), rank).flatMap((symbol) => spell(symbol, ids)),
  );
}

/** The character that stands for each byte in a vocabulary over bytes. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCodePoint(printable ? byte : next++);
  });
})();

export function byteCharacters(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => BYTE_CHARACTERS[byte]).join("");
}

/** BPE over bytes, as of GPT-2 and its followers. */
export function byteLevelEncoder(source: {
  vocabulary: Readonly<Record<string, number>>;
  merges: readonly (readonly [string, string])[];
  added: readonly AddedToken[];
  /** Each cuts what those before it left. */
  patterns: readonly RegExp[];
  ignoreMerges: boolean;
}): Encode {
  const ids = new Map(Object.entries(source.vocabulary));
  const rank = ranksOf(source.merges);
  const encodeWord = (word: string): number[] => {
    const text = byteCharacters(word);
    const whole = source.ignoreMerges ? ids.get(text) : undefined;
    if (whole !== undefined) return [whole];
    return joinBest(Array.from(text), rank).map((symbol) => ids.get(symbol) ?? -1);
  };
  return (text) =>
    cutAtTokens(text, source.added).flatMap((part) =>
      typeof part === "number" ? part : cutWords(part, source.patterns).flatMap(encodeWord),
    );
}

/** Matches of a pattern, and what lies between them. */
export function cutWords(text: string, patterns: readonly RegExp[]): string[] {
  let words = [text];
  for (const pattern of patterns) {
    words = words.flatMap((word) => {
      const parts: string[] = [];
      let end = 0;
      for (const match of word.matchAll(pattern)) {
        if (match[0] === "") continue;
        parts.push(word.slice(end, match.index), match[0]);
        end = match.index + match[0].length;
      }
      return [...parts, word.slice(end)].filter((part) => part !== "");
    });
  }
  return words;
}
