import type { Automaton } from "./automaton.ts";
import { type CodePoints, codePoints, oneOf } from "./code-points.ts";

/** A regular language, as one writes it down. `compile` makes an automaton of it. */
export type Expression =
  | { type: "set"; set: CodePoints }
  | { type: "sequence"; items: readonly Expression[] }
  | { type: "choice"; items: readonly Expression[] }
  /** `max` may be Infinity. */
  | { type: "repeat"; item: Expression; min: number; max: number }
  | { type: "automaton"; automaton: Automaton };

export const EMPTY: Expression = { type: "sequence", items: [] };
/** The language without any text. */
export const NOTHING: Expression = { type: "choice", items: [] };
export const DIGIT: Expression = { type: "set", set: codePoints([0x30, 0x39]) };

export function set(ranges: CodePoints): Expression {
  return { type: "set", set: ranges };
}

export function character(codePoint: number): Expression {
  return set([[codePoint, codePoint]]);
}

/** Any one of the characters of a text. */
export function anyOf(characters: string): Expression {
  return set(oneOf(characters));
}

export function text(literal: string): Expression {
  return sequence(...Array.from(literal, (letter) => character(letter.codePointAt(0) as number)));
}

export function sequence(...items: readonly Expression[]): Expression {
  return items.length === 1 ? (items[0] as Expression) : { type: "sequence", items };
}

export function choice(...items: readonly Expression[]): Expression {
  return items.length === 1 ? (items[0] as Expression) : { type: "choice", items };
}

export function repeat(item: Expression, min: number, max: number): Expression {
  return { type: "repeat", item, min, max };
}

export function optional(item: Expression): Expression {
  return repeat(item, 0, 1);
}

export function automaton(compiled: Automaton): Expression {
  return { type: "automaton", automaton: compiled };
}
