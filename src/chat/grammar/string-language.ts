import { type Automaton, intersect, isEmpty } from "./automaton.ts";
import { type Budget, tooComplex } from "./budget.ts";
import { ANY_CHARACTER } from "./code-points.ts";
import { compile, union } from "./compile.ts";
import { choice, repeat, set, text } from "./expression.ts";
import type { Shape, StringShape } from "./shape.ts";

/** Lengths are counted in states when there is a pattern as well. */
const LONGEST_WITH_PATTERN = 2000;

/** The texts of all strings among some shapes; undefined: any text. */
export function stringsAutomaton(shapes: readonly Shape[], budget: Budget): Automaton | undefined {
  const literals: string[] = [];
  const automata: Automaton[] = [];
  for (const shape of shapes) {
    if (shape.kind === "literal" && typeof shape.value === "string") literals.push(shape.value);
    if (shape.kind !== "string") continue;
    if (isFree(shape)) return undefined;
    automata.push(stringAutomaton(shape, budget));
  }
  if (literals.length > 0 || automata.length === 0)
    automata.push(compile(choice(...literals.map(text)), budget));
  return union(automata, budget);
}

export function isFree({ minLength, maxLength, automaton }: StringShape): boolean {
  return automaton === undefined && minLength === 0 && maxLength === Infinity;
}

/** The texts of one shape, limits on the length included. */
export function stringAutomaton({ minLength, maxLength, automaton }: StringShape, budget: Budget): Automaton {
  const counted = maxLength === Infinity ? minLength : maxLength;
  if (automaton !== undefined && (isEmpty(automaton) || counted === 0) && maxLength !== 0) return automaton;
  if (counted > LONGEST_WITH_PATTERN) {
    throw tooComplex(`a limit of ${counted} characters stands beside a pattern`);
  }
  const length = compile(repeat(set(ANY_CHARACTER), minLength, maxLength), budget);
  return automaton === undefined ? length : intersect(automaton, length, budget);
}
