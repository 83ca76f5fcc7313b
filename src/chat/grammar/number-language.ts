import { type Automaton, intersect } from "./automaton.ts";
import type { Budget } from "./budget.ts";
import { codePoints } from "./code-points.ts";
import { compile } from "./compile.ts";
import {
  DIGIT,
  EMPTY,
  type Expression,
  NOTHING,
  anyOf,
  choice,
  optional,
  repeat,
  sequence,
  set,
  text,
} from "./expression.ts";

/** A limit of `minimum` and its relatives: what was written in the schema, as a decimal. */
export interface Bound {
  decimal: Decimal;
  exclusive: boolean;
}

export interface Decimal {
  negative: boolean;
  integer: bigint;
  /** Digits after the point, without zeros at their end. */
  fraction: string;
}

/** No number is written with more digits before the point: JavaScript would not read them back. */
export const INTEGER_DIGITS = 16;
const LARGEST = 10n ** BigInt(INTEGER_DIGITS) - 1n;
/** Digits that a double keeps whatever they are. */
const SAFE_DIGITS = 15;
const MOST_FRACTION_DIGITS = 30;

const NON_ZERO = set(codePoints([0x31, 0x39]));
const ZERO = text("0");
const DIGITS = repeat(DIGIT, 0, Infinity);

/** A finite number as the decimal that JavaScript prints for it; undefined when its digits go too far. */
export function toDecimal(value: number): Decimal | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value));
  if (match === null) return undefined;
  const [, sign, whole = "", point = "", exponent = "0"] = match;
  const digits = whole + point;
  const place = whole.length + Number(exponent);
  if (place - digits.length > 400 || -place > MOST_FRACTION_DIGITS) return undefined;
  const padded = digits.padStart(digits.length + Math.max(0, -place), "0");
  const split = Math.max(0, place);
  const fraction = padded.slice(split).replace(/0+$/, "");
  if (fraction.length > MOST_FRACTION_DIGITS) return undefined;
  return {
    negative: sign === "-",
    integer: BigInt(padded.slice(0, split).padEnd(split, "0") || "0"),
    fraction,
  };
}

/** Less than zero, zero, or more: as `a - b`. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const length = Math.max(a.fraction.length, b.fraction.length);
  const scaled = ({ negative, integer, fraction }: Decimal): bigint => {
    const size = BigInt(`${integer}${fraction.padEnd(length, "0")}`);
    return negative ? -size : size;
  };
  const difference = scaled(a) - scaled(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The integers within both limits, or undefined where there is no limit; a limit between two integers is rounded. */
export function integerBounds(
  min: Bound | undefined,
  max: Bound | undefined,
): { min?: bigint; max?: bigint } {
  const result: { min?: bigint; max?: bigint } = {};
  if (min !== undefined) {
    const { decimal, exclusive } = min;
    const floor = floorOf(decimal);
    result.min = decimal.fraction === "" && !exclusive ? floor : floor + 1n;
  }
  if (max !== undefined) {
    const { decimal, exclusive } = max;
    const floor = floorOf(decimal);
    result.max = decimal.fraction === "" && exclusive ? floor - 1n : floor;
  }
  return result;
}

function floorOf({ negative, integer, fraction }: Decimal): bigint {
  if (!negative) return integer;
  return fraction === "" ? -integer : -integer - 1n;
}

/** Integers between two limits, digit by digit. */
export function integersBetween(min: bigint | undefined, max: bigint | undefined): Expression {
  const low = min === undefined || min < -LARGEST ? -LARGEST : min;
  const high = max === undefined || max > LARGEST ? LARGEST : max;
  if (low > high) return NOTHING;
  const alternatives: Expression[] = [];
  if (high >= 0n) alternatives.push(naturalsBetween(low > 0n ? low : 0n, high));
  if (low < 0n) alternatives.push(sequence(text("-"), naturalsBetween(high < 0n ? -high : 1n, -low)));
  return choice(...alternatives);
}

function naturalsBetween(low: bigint, high: bigint): Expression {
  const alternatives: Expression[] = [];
  const [first, last] = [`${low}`.length, `${high}`.length];
  for (let length = first; length <= last; length++) {
    const from = length === first ? `${low}` : `1${"0".repeat(length - 1)}`;
    const to = length === last ? `${high}` : "9".repeat(length);
    alternatives.push(digitsBetween(from, to));
  }
  return choice(...alternatives);
}

/** Digit strings between two of the same length. */
function digitsBetween(from: string, to: string): Expression {
  if (/^0*$/.test(from) && /^9*$/.test(to)) return repeat(DIGIT, from.length, from.length);
  const [low, high] = [Number(from[0]), Number(to[0])];
  const [lowRest, highRest] = [from.slice(1), to.slice(1)];
  if (low === high) return sequence(text(`${low}`), digitsBetween(lowRest, highRest));
  const alternatives = [sequence(text(`${low}`), digitsBetween(lowRest, "9".repeat(lowRest.length)))];
  if (high - low > 1) {
    const between = set(codePoints([0x31 + low, 0x2f + high]));
    alternatives.push(sequence(between, repeat(DIGIT, lowRest.length, lowRest.length)));
  }
  alternatives.push(sequence(text(`${high}`), digitsBetween("0".repeat(highRest.length), highRest)));
  return choice(...alternatives);
}

/** Decimal numbers without an exponent between two limits; at least one is given. */
export function numbersBetween(min: Bound | undefined, max: Bound | undefined, budget: Budget): Automaton {
  const zero: Bound = { decimal: { negative: false, integer: 0n, fraction: "" }, exclusive: false };
  const alternatives: Expression[] = [];
  if (max === undefined || !isBelowZero(max)) {
    alternatives.push(magnitudes(min === undefined || isBelowZero(min) ? zero : min, max, budget));
  }
  if (min === undefined || isBelowZero(min)) {
    const from = max === undefined || !isBelowZero(max) ? mirrorOfZero(max, zero) : mirrored(max);
    const negative = magnitudes(from, min === undefined ? undefined : mirrored(min), budget);
    alternatives.push(sequence(text("-"), negative));
  }
  // So many digits that two different ones never become the same double: a limit stays a limit when read back.
  const bounds = [min, max].flatMap((bound) => bound ?? []);
  const integerDigits = Math.max(...bounds.map(({ decimal }) => `${decimal.integer}`.length));
  const fractionDigits = Math.max(...bounds.map(({ decimal }) => decimal.fraction.length));
  const places = Math.max(fractionDigits, SAFE_DIGITS - integerDigits, 1);
  const shape = sequence(
    optional(text("-")),
    choice(ZERO, sequence(NON_ZERO, repeat(DIGIT, 0, INTEGER_DIGITS - 1))),
    optional(sequence(text("."), repeat(DIGIT, 1, places))),
  );
  return intersect(compile(choice(...alternatives), budget), compile(shape, budget), budget);
}

/** Whether zero is outside an upper limit, or inside a lower one. */
function isBelowZero({ decimal }: Bound): boolean {
  return decimal.negative && (decimal.integer > 0n || decimal.fraction !== "");
}

function mirrored({ decimal, exclusive }: Bound): Bound {
  return { decimal: { ...decimal, negative: false }, exclusive };
}

/** Minus zero is within a limit like zero itself. */
function mirrorOfZero(max: Bound | undefined, zero: Bound): Bound {
  const isZero = max !== undefined && max.decimal.integer === 0n && max.decimal.fraction === "";
  return isZero ? { ...zero, exclusive: max.exclusive } : zero;
}

/** Numbers that are not negative, between two limits that are not. */
function magnitudes(min: Bound, max: Bound | undefined, budget: Budget): Expression {
  const low = min.decimal.integer;
  const fromLow = withPoint(fractionsFrom(min.decimal.fraction, min.exclusive));
  if (max === undefined) {
    const above = low >= LARGEST ? NOTHING : naturalsBetween(low + 1n, LARGEST);
    return choice(sequence(text(`${low}`), fromLow), sequence(above, withPoint(DIGITS)));
  }
  const high = max.decimal.integer;
  const toHigh = withPoint(fractionsTo(max.decimal.fraction, max.exclusive));
  if (low > high) return NOTHING;
  if (low === high) {
    const both = intersect(compile(fromLow, budget), compile(toHigh, budget), budget);
    return sequence(text(`${low}`), { type: "automaton", automaton: both });
  }
  const between =
    high - low > 1n ? sequence(naturalsBetween(low + 1n, high - 1n), withPoint(DIGITS)) : NOTHING;
  return choice(sequence(text(`${low}`), fromLow), between, sequence(text(`${high}`), toHigh));
}

/** What may follow the integer: a point and digits, or nothing, which is the fraction without digits. */
function withPoint(digits: Expression): Expression {
  return choice(sequence(text("."), digits), isOptional(digits) ? EMPTY : NOTHING);
}

function isOptional(expression: Expression): boolean {
  if (expression.type === "sequence") return expression.items.every(isOptional);
  if (expression.type === "choice") return expression.items.some(isOptional);
  return expression.type === "repeat" && (expression.min === 0 || isOptional(expression.item));
}

/** Digits after the point that are at least these, or more than these. */
function fractionsFrom(digits: string, exclusive: boolean): Expression {
  const equal = exclusive ? sequence(repeat(ZERO, 0, Infinity), NON_ZERO, DIGITS) : DIGITS;
  return Array.from(digits).reduceRight<Expression>((rest, digit) => {
    const greater = anyOf("0123456789".slice(Number(digit) + 1));
    return choice(sequence(text(digit), rest), sequence(greater, DIGITS));
  }, equal);
}

/** Digits after the point that are at most these, or less than these. */
function fractionsTo(digits: string, exclusive: boolean): Expression {
  const equal = exclusive ? NOTHING : repeat(ZERO, 0, Infinity);
  return Array.from(digits).reduceRight<Expression>((rest, digit) => {
    const less = anyOf("0123456789".slice(0, Number(digit)));
    return choice(EMPTY, sequence(text(digit), rest), sequence(less, DIGITS));
  }, equal);
}
