import { goJson } from "./go-json.ts";
import { goPrint, goSprint, goSprintf } from "./go-print.ts";
import { compareStrings, goList, type GoValue, isTrue, typeName } from "./go-value.ts";
import { GoTemplateError } from "./syntax.ts";
import { typeScriptType } from "./typescript-type.ts";

interface GoFunction {
  /** How many arguments it takes. */
  least: number;
  most: number;
  call(values: readonly GoValue[]): GoValue;
}

/** `and` and `or` look at no more arguments than they need: the evaluator does them. */
export const SHORT_CIRCUIT = { and: false, or: true } as const;

/** Go's built-in functions, and Ollama's. */
export const FUNCTIONS: Readonly<Record<string, GoFunction>> = {
  not: exactly(1, ([value]) => !isTrue(value)),
  len: exactly(1, ([value]) => BigInt(lengthOf(value))),
  index: atLeast(1, ([value, ...keys]) => keys.reduce(indexed, requireItem("index", value))),
  slice: atLeast(1, ([value, ...bounds]) => sliced(requireItem("slice", value), bounds)),
  eq: atLeast(1, ([value, ...others]) => {
    if (others.length === 0) throw new GoTemplateError("eq has nothing to compare with");
    return others.some((other) => isEqual(value, other));
  }),
  ne: exactly(2, ([a, b]) => !isEqual(a, b)),
  lt: exactly(2, ([a, b]) => compare(a, b) < 0),
  le: exactly(2, ([a, b]) => compare(a, b) <= 0),
  gt: exactly(2, ([a, b]) => compare(a, b) > 0),
  ge: exactly(2, ([a, b]) => compare(a, b) >= 0),
  print: atLeast(0, (values) => goSprint(values)),
  println: atLeast(0, (values) => `${values.map(goPrint).join(" ")}\n`),
  printf: atLeast(1, ([format, ...values]) => {
    if (typeof format !== "string")
      throw new GoTemplateError(`the format of printf is a ${typeName(format)}`);
    return goSprintf(format, values);
  }),
  json: exactly(1, ([value]) => goJson(value)),
  currentDate: atLeast(0, () => dateText(0)),
  yesterdayDate: atLeast(0, () => dateText(-1)),
  toTypeScriptType: exactly(1, ([value]) => typeScriptType(value)),
};

export const FUNCTION_NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(FUNCTIONS),
  ...Object.keys(SHORT_CIRCUIT),
]);

function exactly(count: number, call: GoFunction["call"]): GoFunction {
  return { least: count, most: count, call };
}

function atLeast(count: number, call: GoFunction["call"]): GoFunction {
  return { least: count, most: Number.POSITIVE_INFINITY, call };
}

function requireItem(name: string, value: GoValue): GoValue {
  if (value === undefined) throw new GoTemplateError(`${name} of nil`);
  return value;
}

/** Texts are bytes of UTF-8. */
function lengthOf(value: GoValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value === "object" && value.kind === "list") return value.items.length;
  if (typeof value === "object" && value.kind === "map") return value.entries.size;
  throw new GoTemplateError(`len of ${typeName(value)}`);
}

function indexed(value: GoValue, key: GoValue): GoValue {
  if (typeof value === "object" && value.kind === "map") {
    if (typeof key !== "string") throw new GoTemplateError(`index of a map with ${typeName(key)}`);
    return value.entries.has(key) ? value.entries.get(key) : value.zero;
  }
  const isList = typeof value === "object" && value.kind === "list";
  if (typeof value !== "string" && !isList) throw new GoTemplateError(`index of ${typeName(value)}`);
  const place = bound(key, lengthOf(value) - 1);
  return isList ? value.items[place] : BigInt(Buffer.from(value as string)[place] as number);
}

function sliced(value: GoValue, bounds: readonly GoValue[]): GoValue {
  const isList = typeof value === "object" && value.kind === "list";
  if (typeof value !== "string" && !isList) throw new GoTemplateError(`slice of ${typeName(value)}`);
  if (bounds.length > (isList ? 3 : 2)) throw new GoTemplateError("slice has too many bounds");
  const length = lengthOf(value);
  const places = bounds.map((key) => bound(key, length));
  const [start = 0, end = length, most = length] = places;
  if (start > end || end > most) throw new GoTemplateError(`slice from ${start} to ${end}`);
  if (isList)
    return { ...goList(value.items.slice(start, end), value.type), ...(value.text === undefined ? {} : {}) };
  return Buffer.from(value as string)
    .subarray(start, end)
    .toString();
}

function bound(key: GoValue, most: number): number {
  if (typeof key !== "bigint") throw new GoTemplateError(`a ${typeName(key)} is no index`);
  if (key < 0n || key > BigInt(most)) throw new GoTemplateError(`the index ${key} is out of range`);
  return Number(key);
}

function isEqual(a: GoValue, b: GoValue): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (typeof a === "object" || typeof b === "object" || typeof a !== typeof b) throw notComparable(a, b);
  return a === b;
}

function compare(a: GoValue, b: GoValue): number {
  if (typeof a === "string" && typeof b === "string") return compareStrings(a, b);
  if (typeof a === "bigint" && typeof b === "bigint") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  throw notComparable(a, b);
}

function notComparable(a: GoValue, b: GoValue): GoTemplateError {
  return new GoTemplateError(`${typeName(a)} and ${typeName(b)} cannot be compared`);
}

/** `2006-01-02` here and now; Ollama reads a format and does not use it. */
function dateText(days: number): string {
  const date = new Date();
  date.setDate(date.getDate() + days);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
