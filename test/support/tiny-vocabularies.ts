import { BYTE_CHARACTERS, byteCharacters, cutWords } from "./plain-tokenizers.ts";

type Merge = readonly [string, string];

/** Joins the most frequent pair of symbols again and again: the merges, first to last. */
function train(words: readonly (readonly string[])[], count: number): Merge[] {
  const texts = words.map((word) => [...word]);
  const merges: Merge[] = [];
  while (merges.length < count) {
    const frequencies = new Map<string, number>();
    for (const word of texts) {
      for (let index = 0; index + 1 < word.length; index++) {
        const key = `${word[index]} ${word[index + 1]}`;
        frequencies.set(key, (frequencies.get(key) ?? 0) + 1);
      }
    }
    const [best] = [...frequencies].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    if (best === undefined || best[1] < 2) break;
    const [left = "", right = ""] = best[0].split(" ");
    merges.push([left, right]);
    for (const word of texts) {
      for (let index = 0; index + 1 < word.length; index++) {
        if (word[index] === left && word[index + 1] === right) word.splice(index, 2, left + right);
      }
    }
  }
  return merges;
}

/** A vocabulary over bytes, trained on a text. */
export function trainByteLevel(
  text: string,
  patterns: readonly RegExp[],
  count: number,
): { vocabulary: Record<string, number>; merges: Merge[] } {
  const words = cutWords(text, patterns).map((word) => Array.from(byteCharacters(word)));
  const merges = train(words, count);
  const tokens = [...BYTE_CHARACTERS, ...new Set(merges.map(([left, right]) => left + right))];
  return { vocabulary: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
}

export interface TinyPiece {
  text: string;
  score: number;
  /** As in a SentencePiece model: 1 normal, 2 unknown, 3 control, 4 user-defined, 6 byte. */
  type: number;
}

/** A SentencePiece vocabulary, trained on a text: special tokens, bytes, what was joined, characters. */
export function trainSentencePiece(text: string, count: number): TinyPiece[] {
  const words = text
    .split(/(?=[ \n])/)
    .map((word) => Array.from(word.replaceAll(" ", "\u2581").replaceAll("\n", "")));
  const joined = [...new Set(train(words, count).map(([left, right]) => left + right))];
  const characters = [...new Set(words.flat())].sort();
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  return [
    { text: "<unk>", score: 0, type: 2 },
    { text: "<s>", score: 0, type: 3 },
    { text: "</s>", score: 0, type: 3 },
    ...bytes.map((text) => ({ text, score: 0, type: 6 })),
    ...[...joined, ...characters].map((text, index) => ({ text, score: -index, type: 1 })),
  ];
}

/** All ways to join two pieces into one, best result first: what libraries write in a `tokenizer.json`. */
export function mergesOf(pieces: readonly TinyPiece[]): Merge[] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  return pieces
    .filter(({ type }) => type === 1)
    .sort((a, b) => b.score - a.score)
    .flatMap(({ text }) => {
      const symbols = Array.from(text);
      return symbols
        .slice(1)
        .map((_, index): Merge => [symbols.slice(0, index + 1).join(""), symbols.slice(index + 1).join("")])
        .filter(([left, right]) => ids.has(left) && ids.has(right))
        .sort((a, b) => (ids.get(a[0]) as number) - (ids.get(b[0]) as number));
    });
}

/** A `tokenizer.model`: protobuf by hand. */
export function sentencePieceModel(
  pieces: readonly TinyPiece[],
  options: {
    kind?: number;
    addDummyPrefix?: boolean;
    charsmap?: Uint8Array;
    removeExtraWhitespaces?: boolean;
  } = {},
): Uint8Array {
  const { kind = 2, addDummyPrefix = true, charsmap, removeExtraWhitespaces = false } = options;
  const encodePiece = ({ text, score, type }: TinyPiece): Buffer => {
    const float = Buffer.alloc(4);
    float.writeFloatLE(score);
    return Buffer.concat([
      field(1, Buffer.from(text)),
      tag(2, 5),
      float,
      ...(type === 1 ? [] : [tag(3, 0), varint(type)]),
    ]);
  };
  return Buffer.concat([
    ...pieces.map((piece) => field(1, encodePiece(piece))),
    // pad_id is -1, which takes ten bytes.
    field(2, Buffer.concat([tag(3, 0), varint(kind), tag(43, 0), varint(2n ** 64n - 1n)])),
    field(
      3,
      Buffer.concat([
        field(1, Buffer.from(charsmap === undefined ? "identity" : "nmt_nfkc")),
        ...(charsmap === undefined ? [] : [field(2, charsmap)]),
        tag(3, 0),
        varint(Number(addDummyPrefix)),
        tag(4, 0),
        varint(Number(removeExtraWhitespaces)),
      ]),
    ),
  ]);
}

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

export function tag(number: number, wire: number): Buffer {
  return varint(number * 8 + wire);
}

/** A field of bytes. */
export function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([tag(number, 2), varint(bytes.length), bytes]);
}
