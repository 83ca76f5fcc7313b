import { type Automaton, complement, intersect, minimise } from "./automaton.ts";
import type { Budget } from "./budget.ts";
import { ANY_CHARACTER, TEXT_END, TEXT_START, codePoints, contains, subtract, union } from "./code-points.ts";
import { compile } from "./compile.ts";
import {
  EMPTY,
  type Expression,
  NOTHING,
  automaton,
  character,
  choice,
  optional,
  repeat,
  sequence,
  set,
} from "./expression.ts";
import { type PatternItem, parsePattern } from "./parse-pattern.ts";

const ENDS = codePoints([TEXT_START, TEXT_START], [TEXT_END, TEXT_END]);
const ALPHABET = union(ANY_CHARACTER, ENDS);
const ANYTHING = repeat(set(ANY_CHARACTER), 0, Infinity);

/**
 * The texts in which an ECMAScript pattern occurs. Anchors may stand anywhere, because they are letters here: a text
 * is worked on with `TEXT_START` before it and `TEXT_END` behind it. A pattern that asks for the same end twice in a row
 * (`^^a`, which means `^a`) therefore matches nothing: stricter than ECMAScript, never wider.
 *
 * @param refuse is told why a pattern cannot be used
 */
export function patternAutomaton(source: string, budget: Budget, refuse: (why: string) => never): Automaton {
  const before = choice(EMPTY, sequence(character(TEXT_START), ANYTHING));
  const after = choice(EMPTY, sequence(ANYTHING, character(TEXT_END)));
  const found = parsePattern(source, refuse).map((items) => sequence(before, resolve(items, after, budget)));
  const surrounded = compile(sequence(character(TEXT_START), ANYTHING, character(TEXT_END)), budget);
  return withoutEnds(intersect(compile(choice(...found), budget), surrounded, budget), budget);
}

/** A lookahead narrows all that follows it, so a sequence is put together from its end. */
function resolve(items: readonly PatternItem[], after: Expression, budget: Budget): Expression {
  return items.reduceRight<Expression>((rest, item) => {
    if (item.type !== "lookahead") return sequence(item, rest);
    // It may stand before an anchor, where the text has not begun.
    const seen = sequence(optional(character(TEXT_START)), item.pattern, repeat(set(ALPHABET), 0, Infinity));
    const ahead = compile(seen, budget);
    const allowed = item.negative ? complement(ahead, ALPHABET, budget) : ahead;
    return automaton(intersect(allowed, compile(rest, budget), budget));
  }, after);
}

function withoutEnds({ columns, next, accepting }: Automaton, budget: Budget): Automaton {
  const step = (state: number, letter: number): number => {
    const column = columns.findIndex((set) => contains(set, letter));
    return column < 0 ? -1 : (next[state * columns.length + column] as number);
  };
  const start = step(0, TEXT_START);
  if (start < 0) return compile(NOTHING, budget);
  // The state after TEXT_START becomes the first; the first, to which nothing leads, takes its place.
  const swap = (state: number): number => (state === start ? 0 : state === 0 ? start : state);
  const letters = columns.map((set) => subtract(set, ENDS));
  const table: number[] = [];
  const ends: number[] = [];
  for (let place = 0; place < accepting.length; place++) {
    const state = swap(place);
    const last = step(state, TEXT_END);
    ends.push(last >= 0 ? (accepting[last] as number) : 0);
    for (const [column, set] of letters.entries()) {
      const target = next[state * columns.length + column] as number;
      table.push(set.length === 0 || target < 0 ? -1 : swap(target));
    }
  }
  return minimise(letters, table, ends, budget);
}
