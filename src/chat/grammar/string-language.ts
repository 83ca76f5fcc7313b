import { type Automaton, intersect } from "./automaton.ts";
import { type Budget, tooComplex } from "./budget.ts";
import { ANY_CHARACTER } from "./code-points.ts";
import { compile, union } from "./compile.ts";
import { choice, repeat, set, text } from "./expression.ts";
import type { Shape, StringShape } from "./shape.ts";

/** Lengths are counted in states where there is a pattern as well. */
const LONGEST_WITH_PATTERN = 3000;

/** The texts of all strings among some shapes; undefined: any text. */
export function stringsAutomaton(shapes: readonly Shape[], budget: Budget): Automaton | undefined {
  const literals: string[] = [];
  const automata: Automaton[] = [];
  for (const shape of shapes) {
    if (shape.kind === "literal" && typeof shape.value === "string") literals.push(shape.value);
    if (shape.kind !== "string") continue;
    if (isFree(shape)) return undefined;
    automata.push(shape.automaton ?? lengthAutomaton(shape, budget));
  }
  if (literals.length > 0 || automata.length === 0) {
    automata.push(compile(choice(...literals.map(text)), budget));
  }
  return union(automata, budget);
}

export function isFree({ minLength, maxLength, automaton }: StringShape): boolean {
  return automaton === undefined && !isMeasured({ minLength, maxLength });
}

/** Limits on the length made part of the automaton, where there are both. */
export function withLength(shape: StringShape, budget: Budget): StringShape {
  if (shape.automaton === undefined || !isMeasured(shape)) return shape;
  const automaton = intersect(shape.automaton, lengthAutomaton(shape, budget), budget);
  return { ...shape, minLength: 0, maxLength: Infinity, automaton };
}

function isMeasured({ minLength, maxLength }: Pick<StringShape, "minLength" | "maxLength">): boolean {
  return minLength > 0 || maxLength < Infinity;
}

function lengthAutomaton({ minLength, maxLength }: StringShape, budget: Budget): Automaton {
  const counted = maxLength === Infinity ? minLength : maxLength;
  if (counted > LONGEST_WITH_PATTERN) {
    throw tooComplex(`a limit of ${counted} characters stands beside a pattern`);
  }
  return compile(repeat(set(ANY_CHARACTER), minLength, maxLength), budget);
}
