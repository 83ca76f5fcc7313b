import { type Automaton, acceptsAnything, waysOut } from "./automaton.ts";
import { type CodePoints, codePoints, intersect, subtract, union } from "./code-points.ts";
import { type GrammarText, characters, literal } from "./grammar-text.ts";
import { jsonRule } from "./json-rules.ts";

/** Text to be written as it stands, or something in the grammar's own notation. */
type Piece = { literal: string } | { notation: string };

/** How accepted texts are written, and what stands behind them. */
interface Script {
  /** Alternatives that each write one character of a set. */
  write: (set: CodePoints) => Piece[];
  /** What ends a text. */
  end: string;
  /** A rule for any text and its end, if there is one. */
  anything?: () => string;
}

/** Rules for the texts that an automaton accepts, as they are. @returns the name of the first */
export function writeText(grammar: GrammarText, automaton: Automaton): string {
  return writeAutomaton(grammar, automaton, { write: (set) => [plainCharacters(set)], end: "" });
}

/** Rules for the strings that an automaton accepts, as JSON with both quotes. @returns the name of the first */
export function writeString(grammar: GrammarText, automaton: Automaton): string {
  const rest = writeAutomaton(grammar, automaton, {
    write: (set) => jsonCharacters(set, grammar),
    end: '"',
    anything: () => jsonRule(grammar, "string-rest"),
  });
  return grammar.define(`${literal('"')} ${rest}`);
}

function writeAutomaton(grammar: GrammarText, automaton: Automaton, script: Script): string {
  const ways = [...automaton.accepting].map((_, state) => waysOut(automaton, state));
  const uses = ways.map(() => 0);
  for (const { target } of ways.flat()) uses[target] = (uses[target] as number) + 1;
  const isEnd = (state: number): boolean => automaton.accepting[state] === 1;

  const names = new Map<number, string>();
  const nameOf = (state: number): string => {
    if (script.anything !== undefined && acceptsAnything(automaton, state)) return script.anything();
    const known = names.get(state);
    if (known !== undefined) return known;
    const name = grammar.reserve();
    names.set(state, name);
    return name;
  };
  const first = nameOf(0);
  // The map grows while it is walked through.
  for (const [state, name] of names) {
    const alternatives = isEnd(state) ? [literal(script.end)] : [];
    for (const way of ways[state] as Way[]) {
      const pieces = [oneOf(script.write(way.set), grammar)];
      let { target } = way;
      // States that only one way leads to, with one way out, are written in line.
      for (;;) {
        const [next, ...others] = ways[target] as Way[];
        if (next === undefined) {
          pieces.push({ literal: script.end });
          break;
        }
        if (isEnd(target) || others.length > 0 || uses[target] !== 1 || target === state) {
          pieces.push({ notation: nameOf(target) });
          break;
        }
        pieces.push(oneOf(script.write(next.set), grammar));
        target = next.target;
      }
      alternatives.push(joined(pieces));
    }
    grammar.set(name, alternatives.join(" | "));
  }
  return first;
}

type Way = ReturnType<typeof waysOut>[number];

function joined(pieces: readonly Piece[]): string {
  const parts: Piece[] = [];
  for (const piece of pieces) {
    const before = parts.at(-1);
    if ("literal" in piece && before !== undefined && "literal" in before) before.literal += piece.literal;
    else parts.push({ ...piece });
  }
  const last = parts.at(-1);
  if (parts.length > 1 && last !== undefined && "literal" in last && last.literal === "") parts.pop();
  return parts.map(notationOf).join(" ");
}

function notationOf(piece: Piece): string {
  return "literal" in piece ? literal(piece.literal) : piece.notation;
}

function oneOf(alternatives: readonly Piece[], grammar: GrammarText): Piece {
  if (alternatives.length === 1) return alternatives[0] as Piece;
  return { notation: grammar.define(alternatives.map(notationOf).join(" | ")) };
}

const ESCAPED = codePoints([0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]);
const SURROGATES = codePoints([0xd800, 0xdfff]);

/** As `JSON.stringify` writes characters: one way for each, so that no other spelling gets past a pattern. */
function jsonCharacters(set: CodePoints, grammar: GrammarText): Piece[] {
  const plain = subtract(set, union(ESCAPED, SURROGATES));
  const alternatives = plain.length === 0 ? [] : [plainCharacters(plain)];
  if (subtract(ESCAPED, set).length === 0) alternatives.push({ notation: jsonRule(grammar, "escape") });
  else alternatives.push(...byName(intersect(set, ESCAPED)));
  return [...alternatives, ...byName(intersect(set, SURROGATES))];
}

function byName(set: CodePoints): Piece[] {
  return set.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, place) => ({
      literal: JSON.stringify(String.fromCharCode(first + place)).slice(1, -1),
    })),
  );
}

function plainCharacters(set: CodePoints): Piece {
  const [range] = set;
  if (set.length !== 1 || range === undefined || range[0] !== range[1]) return { notation: characters(set) };
  return { literal: String.fromCodePoint(range[0]) };
}
