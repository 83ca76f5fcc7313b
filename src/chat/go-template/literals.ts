import { GoTemplateError } from "./syntax.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};
const ESCAPE = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([0-7]{3})|(.)|$)/gis;

/** Go's `"…"` or `` `…` `` to its text. */
export function stringLiteral(literal: string): string {
  if (literal.startsWith("`")) return literal.slice(1, -1).replaceAll("\r", "");
  return unescape(literal.slice(1, -1), literal);
}

/** Go's `'…'` to the code point that it is: an int. */
export function characterLiteral(literal: string): bigint {
  const [letter, ...more] = unescape(literal.slice(1, -1), literal);
  if (letter === undefined || more.length > 0) throw new GoTemplateError(`${literal} is no character`);
  return BigInt(letter.codePointAt(0) as number);
}

function unescape(text: string, literal: string): string {
  return text.replace(
    ESCAPE,
    (whole, hex?: string, short?: string, long?: string, octal?: string, letter?: string) => {
      const code = hex ?? short ?? long;
      if (code !== undefined || octal !== undefined) {
        const point = code === undefined ? Number.parseInt(octal as string, 8) : Number.parseInt(code, 16);
        // A byte beyond ASCII is half of a letter, which no prompt has.
        const isByte = (hex !== undefined || octal !== undefined) && point > 0x7f;
        if (!isByte && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff))
          return String.fromCodePoint(point);
      }
      const known = letter === undefined ? undefined : ESCAPES[letter];
      return known ?? fail(`${literal} has the escape ${whole}, which is not known`);
    },
  );
}

/** A Go number: an int as bigint, a float64 as number. */
export function numberLiteral(literal: string): bigint | number {
  const digits = literal.replace(/^[+-]/, "").replaceAll("_", "");
  const negative = literal.startsWith("-");
  if (/^(?:0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+|0|[1-9]\d*)$/.test(digits))
    return int(BigInt(digits), negative, literal);
  if (/^0[0-7]+$/.test(digits)) return int(BigInt(`0o${digits.slice(1)}`), negative, literal);
  if (!/^0\d+$/.test(digits) && /^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(digits)) {
    const value = Number(digits);
    if (!Number.isFinite(value)) return fail(`${literal} is too large`);
    return negative ? -value : value;
  }
  return fail(`the number ${literal} is of a kind that mull does not render`);
}

function int(value: bigint, negative: boolean, literal: string): bigint {
  const signed = negative ? -value : value;
  return BigInt.asIntN(64, signed) === signed ? signed : fail(`${literal} overflows int`);
}

function fail(problem: string): never {
  throw new GoTemplateError(problem);
}
