import { type Automaton, minimise, requireFewStates } from "./automaton.ts";
import type { Budget } from "./budget.ts";
import { type CodePoints, codePoints } from "./code-points.ts";
import { type Expression, choice, automaton as embedded } from "./expression.ts";

/** A non-deterministic automaton while it is built: state 0 is the start. */
interface Draft {
  /** Per state, where one may go without reading. */
  free: number[][];
  /** Per state, where one may go by reading. */
  reading: { set: CodePoints; target: number }[][];
}

/** An expression as a minimal automaton (Thompson's construction, then subsets of states). */
export function compile(expression: Expression, budget: Budget): Automaton {
  const draft: Draft = { free: [], reading: [] };
  const start = addState(draft, budget);
  const end = build(draft, expression, start, budget);
  return determinise(draft, end, budget);
}

/** Texts that any of them accepts. */
export function union(automata: readonly Automaton[], budget: Budget): Automaton {
  return automata.length === 1
    ? (automata[0] as Automaton)
    : compile(choice(...automata.map(embedded)), budget);
}

function addState(draft: Draft, budget: Budget): number {
  budget.spend(10);
  draft.free.push([]);
  draft.reading.push([]);
  return draft.free.length - 1;
}

/** Adds an expression after a state. @returns the state after it */
function build(draft: Draft, expression: Expression, from: number, budget: Budget): number {
  switch (expression.type) {
    case "set": {
      const target = addState(draft, budget);
      if (expression.set.length > 0) draft.reading[from]?.push({ set: expression.set, target });
      return target;
    }
    case "sequence":
      return expression.items.reduce((state, item) => build(draft, item, state, budget), from);
    case "choice": {
      const end = addState(draft, budget);
      for (const item of expression.items) {
        const start = addState(draft, budget);
        draft.free[from]?.push(start);
        draft.free[build(draft, item, start, budget)]?.push(end);
      }
      return end;
    }
    case "repeat":
      return buildRepeat(draft, expression, from, budget);
    default: {
      const { columns, next, accepting } = expression.automaton;
      const states = [...accepting].map(() => addState(draft, budget));
      const end = addState(draft, budget);
      draft.free[from]?.push(states[0] as number);
      for (const [state, own] of states.entries()) {
        if (accepting[state] === 1) draft.free[own]?.push(end);
        for (const [column, set] of columns.entries()) {
          budget.spend(1);
          const target = next[state * columns.length + column] as number;
          if (target >= 0) draft.reading[own]?.push({ set, target: states[target] as number });
        }
      }
      return end;
    }
  }
}

function buildRepeat(
  draft: Draft,
  { item, min, max }: Extract<Expression, { type: "repeat" }>,
  from: number,
  budget: Budget,
): number {
  let state = from;
  for (let count = 0; count < min; count++) state = build(draft, item, state, budget);
  const end = addState(draft, budget);
  if (max === Infinity) {
    const again = addState(draft, budget);
    draft.free[state]?.push(again);
    draft.free[build(draft, item, again, budget)]?.push(again);
    draft.free[again]?.push(end);
    return end;
  }
  for (let count = min; count < max; count++) {
    draft.free[state]?.push(end);
    state = build(draft, item, state, budget);
  }
  draft.free[state]?.push(end);
  return end;
}

function determinise(draft: Draft, end: number, budget: Budget): Automaton {
  const { columns, columnsOf } = partition(draft, budget);
  const first = closure(draft, [0], budget);
  const places = new Map<string, number>([[first.join(","), 0]]);
  const found = [first];
  const next: number[] = [];
  const accepting: number[] = [];
  for (const states of found) {
    requireFewStates(found.length);
    accepting.push(states.includes(end) ? 1 : 0);
    const targets: number[][] = columns.map(() => []);
    for (const state of states) {
      for (const { set, target } of draft.reading[state] as Draft["reading"][number]) {
        for (const column of columnsOf.get(set) as number[]) {
          budget.spend(1);
          targets[column]?.push(target);
        }
      }
    }
    for (const target of targets) {
      if (target.length === 0) {
        next.push(-1);
        continue;
      }
      const closed = closure(draft, target, budget);
      const key = closed.join(",");
      if (!places.has(key)) {
        places.set(key, found.length);
        found.push(closed);
      }
      next.push(places.get(key) as number);
    }
  }
  return minimise(columns, next, accepting, budget);
}

/** All states that can be reached without reading, sorted. */
function closure(draft: Draft, from: readonly number[], budget: Budget): number[] {
  const seen = new Set(from);
  for (const state of seen) {
    budget.spend(1);
    for (const target of draft.free[state] as number[]) seen.add(target);
  }
  return [...seen].sort((a, b) => a - b);
}

/** Cuts the alphabet into sets that no transition tells apart, and says of which of them each transition's set is made. */
function partition(
  draft: Draft,
  budget: Budget,
): { columns: CodePoints[]; columnsOf: Map<CodePoints, number[]> } {
  // Sets that are written down many times are one.
  const known = new Map<string, { set: CodePoints; columns: number[] }>();
  const columnsOf = new Map<CodePoints, number[]>();
  for (const { set } of draft.reading.flat()) {
    const key = set.join(" ");
    const entry = known.get(key) ?? { set, columns: [] };
    known.set(key, entry);
    columnsOf.set(set, entry.columns);
  }
  const sets = [...known.values()];
  const cuts = [...new Set(sets.flatMap(({ set }) => set.flatMap(([first, last]) => [first, last + 1])))];
  cuts.sort((a, b) => a - b);
  const members: number[][] = cuts.map(() => []);
  const placeOf = new Map(cuts.map((cut, place) => [cut, place]));
  for (const [number, { set }] of sets.entries()) {
    for (const [first, last] of set) {
      const end = placeOf.get(last + 1) as number;
      budget.spend(end - (placeOf.get(first) as number));
      for (let place = placeOf.get(first) as number; place < end; place++) members[place]?.push(number);
    }
  }
  const groups = new Map<string, { ranges: [number, number][]; sets: number[] }>();
  for (const [place, own] of members.entries()) {
    if (own.length === 0) continue;
    const range: [number, number] = [cuts[place] as number, (cuts[place + 1] as number) - 1];
    const group = groups.get(own.join(","));
    if (group === undefined) groups.set(own.join(","), { ranges: [range], sets: own });
    else group.ranges.push(range);
  }
  const columns: CodePoints[] = [];
  for (const { ranges, sets: own } of groups.values()) {
    for (const number of own) sets[number]?.columns.push(columns.length);
    columns.push(codePoints(...ranges));
  }
  return { columns, columnsOf };
}
