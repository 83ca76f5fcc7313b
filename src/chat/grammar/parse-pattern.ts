import {
  ANY_CHARACTER,
  type CodePoints,
  TEXT_END,
  TEXT_START,
  codePoints,
  oneOf,
  subtract,
  union,
} from "./code-points.ts";
import { type Expression, character, choice, repeat, sequence, set } from "./expression.ts";

/** One after the other; a lookahead says what may, or may not, follow at its place. */
export type PatternItem = Expression | { type: "lookahead"; pattern: Expression; negative: boolean };

const DIGITS = codePoints([0x30, 0x39]);
const WORD = codePoints([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
const LINE_ENDS = oneOf("\n\r\u2028\u2029");
/** ECMAScript's WhiteSpace and LineTerminator. */
const SPACE = union(
  oneOf("\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
  codePoints([0x2000, 0x200a]),
);
const LETTER_ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", v: "\v", f: "\f", r: "\r" };
const LONGEST_REPETITION = 1000;
const DEEPEST_GROUP = 40;

/**
 * Reads an ECMAScript pattern as far as it is regular: literals, classes, groups, alternatives, quantifiers, anchors,
 * and lookaheads outside groups. Code points count, as with the flag `u`.
 *
 * @param refuse is told what else is in it
 * @returns its alternatives
 */
export function parsePattern(source: string, refuse: (why: string) => never): PatternItem[][] {
  if (!isPattern(source)) refuse("it is no valid ECMAScript pattern");
  const letters = Array.from(source);
  let place = 0;
  let depth = 0;

  const peek = (text: string): boolean => letters.slice(place, place + text.length).join("") === text;
  const take = (text: string): boolean => {
    const found = peek(text);
    if (found) place += text.length;
    return found;
  };
  const takeLetter = (): string => letters[place++] ?? refuse("it ends too early");

  const takeAlternatives = (): PatternItem[][] => {
    if (++depth > DEEPEST_GROUP) refuse(`its groups are nested deeper than ${DEEPEST_GROUP}`);
    const alternatives: PatternItem[][] = [[]];
    while (place < letters.length && !peek(")")) {
      if (take("|")) alternatives.push([]);
      else alternatives.at(-1)?.push(takeItem());
    }
    depth--;
    return alternatives;
  };

  const takeItem = (): PatternItem => {
    for (const [opener, negative] of [
      ["(?=", false],
      ["(?!", true],
    ] as const) {
      if (!take(opener)) continue;
      if (depth > 1) refuse("a lookahead stands inside a group");
      return { type: "lookahead", pattern: takeGroup(), negative };
    }
    return takeQuantifier(takeAtom());
  };

  /** The rest of a group, after what opens it. */
  const takeGroup = (): Expression => {
    const alternatives = takeAlternatives();
    if (!take(")")) refuse("a group is not closed");
    return choice(
      ...alternatives.map((items) =>
        sequence(...items.map((item) => (item.type === "lookahead" ? refuse("of a lookahead") : item))),
      ),
    );
  };

  const takeAtom = (): Expression => {
    if (take("^")) return character(TEXT_START);
    if (take("$")) return character(TEXT_END);
    if (take(".")) return set(subtract(ANY_CHARACTER, LINE_ENDS));
    if (take("[")) return set(takeClass());
    if (take("(")) {
      if (take("?<")) {
        if (peek("=") || peek("!")) refuse("lookbehind is not regular");
        while (takeLetter() !== ">");
      } else if (take("?") && !take(":")) refuse("it sets flags");
      return takeGroup();
    }
    if (take("\\")) return set(takeEscape());
    return set(oneOf(takeLetter()));
  };

  const takeQuantifier = (atom: Expression): Expression => {
    let bounds: [number, number] | undefined;
    const counted = /^\{(\d+)(,?)(\d*)\}/.exec(letters.slice(place, place + 24).join(""));
    if (take("*")) bounds = [0, Infinity];
    else if (take("+")) bounds = [1, Infinity];
    else if (take("?")) bounds = [0, 1];
    else if (counted !== null) {
      const [all, min, comma, max] = counted as unknown as [string, string, string, string];
      bounds = [Number(min), comma === "" ? Number(min) : max === "" ? Infinity : Number(max)];
      place += all.length;
    }
    if (bounds === undefined) return atom;
    take("?");
    const [min, max] = bounds;
    if (min > LONGEST_REPETITION || (max !== Infinity && max > LONGEST_REPETITION)) {
      refuse(`it repeats something more than ${LONGEST_REPETITION} times`);
    }
    return repeat(atom, min, max);
  };

  const takeClass = (): CodePoints => {
    const negative = take("^");
    let found: CodePoints = [];
    while (!take("]")) {
      const first = takeClassAtom();
      if (peek("-") && letters[place + 1] !== "]" && first.single !== undefined) {
        place++;
        const last = takeClassAtom();
        if (last.single === undefined) {
          found = union(found, union(first.set, union(last.set, oneOf("-"))));
        } else {
          found = union(found, codePoints([first.single, last.single]));
        }
      } else found = union(found, first.set);
    }
    return negative ? subtract(ANY_CHARACTER, found) : found;
  };

  const takeClassAtom = (): { set: CodePoints; single?: number } => {
    const letter = takeLetter();
    const found = letter !== "\\" ? oneOf(letter) : take("b") ? oneOf("\b") : takeEscape();
    const [range] = found;
    if (found.length !== 1 || range === undefined || range[0] !== range[1]) return { set: found };
    return { set: found, single: range[0] };
  };

  const takeEscape = (): CodePoints => {
    const letter = takeLetter();
    switch (letter) {
      case "d":
        return DIGITS;
      case "D":
        return subtract(ANY_CHARACTER, DIGITS);
      case "w":
        return WORD;
      case "W":
        return subtract(ANY_CHARACTER, WORD);
      case "s":
        return SPACE;
      case "S":
        return subtract(ANY_CHARACTER, SPACE);
      case "x":
        return takeHex(2);
      case "u": {
        if (take("{")) {
          let digits = "";
          while (!take("}")) digits += takeLetter();
          return codePoint(Number.parseInt(digits, 16));
        }
        const unit = takeHex(4);
        const high = unit[0]?.[0] as number;
        if (high < 0xd800 || high > 0xdbff || !take("\\u")) return unit;
        const low = takeHex(4)[0]?.[0] as number;
        return codePoint(((high - 0xd800) << 10) + (low - 0xdc00) + 0x10000);
      }
      case "c":
        return codePoint((takeLetter().codePointAt(0) as number) % 32);
      case "0":
        return codePoint(0);
      default:
        if (/[1-9k]/.test(letter)) refuse("it refers back to a group");
        if (/[bB]/.test(letter)) refuse(`\\${letter} is not supported`);
        if (/[pP]/.test(letter)) refuse("Unicode properties are not supported");
        return oneOf(LETTER_ESCAPES[letter] ?? letter);
    }
  };

  const takeHex = (length: number): CodePoints => {
    const digits = letters.slice(place, place + length).join("");
    if (!/^[0-9a-f]+$/i.test(digits) || digits.length !== length) refuse("an escape is not complete");
    place += length;
    return codePoint(Number.parseInt(digits, 16));
  };

  const alternatives = takeAlternatives();
  if (place < letters.length) refuse("a group is closed that was not opened");
  return alternatives;
}

function codePoint(value: number): CodePoints {
  return [[value, value]];
}

/** With the flag `u`, or, as many schemas are written, without. */
function isPattern(source: string): boolean {
  return ["u", ""].some((flags) => {
    try {
      return new RegExp(source, flags) instanceof RegExp;
    } catch {
      return false;
    }
  });
}
