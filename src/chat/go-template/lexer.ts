import { GoTemplateError } from "./syntax.ts";

export interface Token {
  kind:
    | "text"
    | "open"
    | "close"
    /** `if`, `len`, `true`. */
    | "word"
    /** `.Name`, without the dot. */
    | "field"
    | "dot"
    /** `$`, `$name`. */
    | "variable"
    | "string"
    | "number"
    | "character"
    /** `(`, `)`, `|`, `,`, `=`, `:=`. */
    | "sign";
  value: string;
  /** Whether spaces stand before it: `.A .B` are two operands, `.A.B` is one. */
  spaced: boolean;
  line: number;
}

const SPACE = " \t\r\n";
const INSIDE =
  /(?<word>[\p{L}_][\p{L}\p{Nd}_]*)|\.(?<field>[\p{L}_][\p{L}\p{Nd}_]*)|(?<variable>\$[\p{L}\p{Nd}_]*)|(?<number>[+-]?(?:\.?\d)(?:[eEpP][+-]|[\w.])*)|(?<dot>\.)|(?<string>"(?:\\[^\n]|[^"\\\n])*"|`[^`]*`)|(?<character>'(?:\\[^\n]|[^'\\\n])+')|(?<sign>:=|[()|,=])/uy;
/** What may follow a word, a field or a variable. */
const TERMINATOR = /[\s.,|:)(]|\}\}|$/y;

/**
 * A template's tokens. `{{-` with a space takes the white space before it away, `-}}` with one that after it; comments
 * are gone.
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let at = 0;
  const add = (kind: Token["kind"], value: string, spaced = false): void => {
    tokens.push({ kind, value, spaced, line });
  };
  const fail = (problem: string): never => {
    throw new GoTemplateError(`line ${line}: ${problem}`);
  };
  const moveTo = (end: number): void => {
    for (; at < end; at++) if (source[at] === "\n") line++;
  };
  for (let trim = false; ;) {
    const open = source.indexOf("{{", at);
    const end = open < 0 ? source.length : open;
    const trimsLeft = open >= 0 && source[open + 2] === "-" && isSpace(source[open + 3]);
    let start = at;
    let stop = end;
    if (trim) while (start < stop && isSpace(source[start])) start++;
    if (trimsLeft) while (stop > start && isSpace(source[stop - 1])) stop--;
    if (stop > start) add("text", source.slice(start, stop));
    moveTo(end);
    if (open < 0) return tokens;
    moveTo(open + (trimsLeft ? 3 : 2));
    const comment = trimsLeft ? at + 1 : at;
    if (source.startsWith("/*", comment)) {
      const close = source.indexOf("*/", comment + 2);
      if (close < 0) fail("a comment never ends");
      moveTo(close + 2);
      const right = rightDelimiter(source, at) ?? fail("a comment must stand alone between {{ and }}");
      moveTo(right.end);
      trim = right.trims;
      continue;
    }
    add("open", "{{");
    trim = readAction();
  }

  /** To behind `}}`; returns whether it takes white space away. */
  function readAction(): boolean {
    for (let depth = 0; ;) {
      const before = at;
      let right = rightDelimiter(source, at);
      while (right === undefined && isSpace(source[at])) {
        moveTo(at + 1);
        right = rightDelimiter(source, at);
      }
      if (right !== undefined) {
        if (depth > 0) fail("a parenthesis never ends");
        add("close", "}}", at > before);
        moveTo(right.end);
        return right.trims;
      }
      INSIDE.lastIndex = at;
      const match = INSIDE.exec(source);
      if (match?.groups === undefined) {
        return fail(
          at >= source.length
            ? "an action never ends"
            : `unexpected ${JSON.stringify(source[at])} in an action`,
        );
      }
      const [kind, value = ""] = Object.entries(match.groups).find(([, group]) => group !== undefined) ?? [];
      const spaced = at > before;
      const next = at + match[0].length;
      TERMINATOR.lastIndex = next;
      if ((kind === "word" || kind === "field" || kind === "variable") && !TERMINATOR.test(source)) {
        fail(`unexpected ${JSON.stringify(source[next])} after ${match[0]}`);
      }
      if (value === "(") depth++;
      if (value === ")" && --depth < 0) fail("unexpected )");
      add(kind as Token["kind"], value, spaced);
      moveTo(next);
    }
  }
}

/** `}}`, or a space and `-}}`. */
function rightDelimiter(source: string, at: number): { end: number; trims: boolean } | undefined {
  if (source.startsWith("}}", at)) return { end: at + 2, trims: false };
  return isSpace(source[at]) && source.startsWith("-}}", at + 1) ? { end: at + 4, trims: true } : undefined;
}

function isSpace(letter: string | undefined): boolean {
  return letter !== undefined && SPACE.includes(letter);
}
