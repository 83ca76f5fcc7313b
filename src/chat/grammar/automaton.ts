import { type Budget, tooComplex } from "./budget.ts";
import {
  ANY_CHARACTER,
  type CodePoints,
  codePoints,
  contains,
  intersect as common,
  isSame,
  subtract,
} from "./code-points.ts";

/**
 * A deterministic automaton, minimal. Every restriction on strings and numbers becomes one: grammars written from it
 * never leave llama.cpp with two ways to read the same text, so it keeps one stack whatever a schema says.
 */
export interface Automaton {
  /** Disjoint sets of code points. What is in none of them leads nowhere. */
  readonly columns: readonly CodePoints[];
  readonly next: Int32Array; // (states, columns) int32: a state, or -1
  readonly accepting: Uint8Array; // (states) 0 or 1; state 0 is the start
}

const MAX_STATES = 4000;

/** @throws MullError `invalid_argument` when an automaton has more states than any honest schema needs */
export function requireFewStates(count: number): void {
  if (count > MAX_STATES) throw tooComplex("a pattern or limit needs too many states");
}

/** Texts that both accept. */
export function intersect(a: Automaton, b: Automaton, budget: Budget): Automaton {
  const columns: CodePoints[] = [];
  const pairs: [number, number][] = [];
  for (const [i, left] of a.columns.entries()) {
    for (const [j, right] of b.columns.entries()) {
      budget.spend(left.length * right.length);
      const both = common(left, right);
      if (both.length === 0) continue;
      columns.push(both);
      pairs.push([i, j]);
    }
  }
  const places = new Map<number, number>([[0, 0]]);
  const found: [number, number][] = [[0, 0]];
  const next: number[] = [];
  const accepting: number[] = [];
  for (const [left, right] of found) {
    budget.spend(columns.length + 1);
    requireFewStates(found.length);
    accepting.push((a.accepting[left] as number) & (b.accepting[right] as number));
    for (const [i, j] of pairs) {
      const toLeft = a.next[left * a.columns.length + i] as number;
      const toRight = b.next[right * b.columns.length + j] as number;
      if (toLeft < 0 || toRight < 0) {
        next.push(-1);
        continue;
      }
      const key = toLeft * b.accepting.length + toRight;
      if (!places.has(key)) {
        places.set(key, found.length);
        found.push([toLeft, toRight]);
      }
      next.push(places.get(key) as number);
    }
  }
  return minimise(columns, next, accepting, budget);
}

/** Texts over an alphabet that it does not accept. */
export function complement(automaton: Automaton, alphabet: CodePoints, budget: Budget): Automaton {
  const rest = automaton.columns.reduce(subtract, alphabet);
  const columns = rest.length > 0 ? [...automaton.columns, rest] : [...automaton.columns];
  const states = automaton.accepting.length;
  const sink = states;
  const next: number[] = [];
  for (let state = 0; state <= sink; state++) {
    for (let column = 0; column < columns.length; column++) {
      const known = state < sink && column < automaton.columns.length;
      const target = known ? (automaton.next[state * automaton.columns.length + column] as number) : -1;
      next.push(target < 0 ? sink : target);
    }
  }
  const accepting = [...automaton.accepting].map((accepts) => 1 - accepts);
  return minimise(columns, next, [...accepting, 1], budget);
}

export function isEmpty(automaton: Automaton): boolean {
  return !automaton.accepting.includes(1);
}

export function accepts(automaton: Automaton, value: string): boolean {
  let state = 0;
  for (const letter of value) {
    const codePoint = letter.codePointAt(0) as number;
    const column = automaton.columns.findIndex((set) => contains(set, codePoint));
    if (column < 0) return false;
    state = automaton.next[state * automaton.columns.length + column] as number;
    if (state < 0) return false;
  }
  return automaton.accepting[state] === 1;
}

/** Whether every text may follow once this state is reached. */
export function acceptsAnything(automaton: Automaton, state: number): boolean {
  const width = automaton.columns.length;
  if (automaton.accepting[state] !== 1) return false;
  for (let column = 0; column < width; column++) {
    if (automaton.next[state * width + column] !== state) return false;
  }
  return isSame(codePoints(...automaton.columns.flat()), ANY_CHARACTER);
}

/** Ways out of a state: for each state after it, by which code points. */
export function waysOut(automaton: Automaton, state: number): { target: number; set: CodePoints }[] {
  const width = automaton.columns.length;
  const ranges = new Map<number, (readonly [number, number])[]>();
  for (const [column, set] of automaton.columns.entries()) {
    const target = automaton.next[state * width + column] as number;
    if (target < 0) continue;
    const known = ranges.get(target);
    if (known === undefined) ranges.set(target, [...set]);
    else known.push(...set);
  }
  return [...ranges].map(([target, set]) => ({ target, set: codePoints(...set) }));
}

/**
 * The smallest automaton of the same language (Moore 1956): states that no text tells apart become one, states that
 * lead to no accepted text are left out, and columns that act alike are joined.
 */
export function minimise(
  columns: readonly CodePoints[],
  next: readonly number[], // (states, columns)
  accepting: readonly number[],
  budget: Budget,
): Automaton {
  const width = columns.length;
  let group = firstGroups(next, accepting, width, budget);
  if ((group[0] ?? -1) < 0) return { columns: [], next: new Int32Array(0), accepting: new Uint8Array(1) };
  for (let groups = 0; ;) {
    budget.spend(group.length * (width + 1));
    const numbers = new Map<string, number>();
    group = group.map((own, state) => {
      if (own < 0) return -1;
      let key = `${own}`;
      for (let column = 0; column < width; column++) {
        const target = next[state * width + column] as number;
        key += `,${target < 0 ? -1 : (group[target] as number)}`;
      }
      // The start is met first, so it is number 0.
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      return numbers.get(key) as number;
    });
    if (numbers.size === groups) break;
    groups = numbers.size;
  }
  const size = Math.max(...group) + 1;
  const table = new Int32Array(size * width).fill(-1);
  const ends = new Uint8Array(size);
  for (const [state, own] of group.entries()) {
    if (own < 0) continue;
    ends[own] = accepting[state] as number;
    for (let column = 0; column < width; column++) {
      const target = next[state * width + column] as number;
      if (target >= 0) table[own * width + column] = group[target] as number;
    }
  }
  return joinColumns(columns, table, ends);
}

/**
 * A first division of states: by the lengths of the shortest and of the longest text that still leads to acceptance.
 * Long chains, which counted repetitions make, fall apart at once. -1: nothing leads there.
 */
function firstGroups(
  next: readonly number[],
  accepting: readonly number[],
  width: number,
  budget: Budget,
): number[] {
  const sources: number[][] = accepting.map(() => []);
  for (const [place, target] of next.entries()) {
    if (target >= 0) sources[target]?.push(Math.floor(place / width));
  }
  budget.spend(next.length);
  const shortest = accepting.map((accepts): number => (accepts === 1 ? 0 : -1));
  const reached = accepting.flatMap((accepts, state) => (accepts === 1 ? [state] : []));
  for (const state of reached) {
    for (const source of sources[state] as number[]) {
      if (shortest[source] !== -1) continue;
      shortest[source] = (shortest[state] as number) + 1;
      reached.push(source);
    }
  }
  // Ways out that are not settled yet; a state in, or before, a circle never gets to zero.
  const open = accepting.map(() => 0);
  for (const state of reached) for (const source of sources[state] as number[]) open[source]!++;
  const longest = accepting.map(() => Infinity);
  const settled = reached.filter((state) => open[state] === 0);
  for (const state of settled) longest[state] = 0;
  for (const state of settled) {
    for (const source of sources[state] as number[]) {
      const known = longest[source] === Infinity ? 0 : (longest[source] as number);
      open[source]!--;
      longest[source] = Math.max(known, (longest[state] as number) + 1);
      if (open[source] === 0) settled.push(source);
    }
  }
  const numbers = new Map<string, number>();
  return accepting.map((accepts, state) => {
    if (shortest[state] === -1) return -1;
    const length = open[state] === 0 ? (longest[state] as number) : Infinity;
    const key = `${accepts},${shortest[state]},${length}`;
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return numbers.get(key) as number;
  });
}

function joinColumns(columns: readonly CodePoints[], next: Int32Array, accepting: Uint8Array): Automaton {
  const width = columns.length;
  const states = accepting.length;
  const kinds = new Map<string, number[]>();
  for (let column = 0; column < width; column++) {
    const targets = Array.from({ length: states }, (_, state) => next[state * width + column] as number);
    if (targets.every((target) => target < 0)) continue;
    const key = targets.join(",");
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, [column]);
    else known.push(column);
  }
  const groups = [...kinds.values()];
  const joined = new Int32Array(states * groups.length);
  for (const [place, group] of groups.entries()) {
    for (let state = 0; state < states; state++) {
      joined[state * groups.length + place] = next[state * width + (group[0] as number)] as number;
    }
  }
  return {
    columns: groups.map((group) => codePoints(...group.flatMap((column) => columns[column] as CodePoints))),
    next: joined,
    accepting,
  };
}
