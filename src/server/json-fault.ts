/** Where a text stops being JSON. */
export interface JsonFault {
  /** Index of the character at fault, or the length of a text that ends too early. */
  position: number;
  line: number;
  column: number;
  /** Completes "The body is not JSON: …". Never repeats the text: it may be a prompt. */
  problem: string;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Ordinary characters of a string, and an escape. Two patterns: one with an alternative would need a stack. */
// oxlint-disable-next-line no-control-regex -- control characters are what JSON forbids in strings
const PLAIN = /[^"\\\u0000-\u001f]+/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const LITERAL = /true|false|null/y;
const WHITE_SPACE = /[ \t\n\r]*/y;

/**
 * Finds what is wrong with a text that `JSON.parse` refuses: V8 names a position for some faults only, and for others
 * prints a piece of the text instead. Nothing recurses, so depth does not matter.
 *
 * @returns undefined for a text that is JSON (RFC 8259)
 */
export function findJsonFault(text: string): JsonFault | undefined {
  const open: ("{" | "[")[] = [];
  let expects: "value" | "value or ]" | "key" | "key or }" | ":" | "end" = "value";
  let at = 0;
  /** Moves behind what a sticky pattern matches here. False: nothing. */
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const fault = (problem: string): JsonFault => ({ position: at, ...lineAndColumn(text, at), problem });
  /** Takes a string; returns its fault. */
  const takeString = (): JsonFault | undefined => {
    at++;
    while (take(PLAIN) || take(ESCAPE));
    if (text[at] === '"') return void at++;
    if (at >= text.length) return fault("a string is not closed");
    return fault(
      text[at] === "\\"
        ? "a string holds an escape that JSON does not know"
        : "a string holds a control character",
    );
  };

  for (;;) {
    take(WHITE_SPACE);
    const character = text[at];
    if (expects === "end" && open.length === 0)
      return character === undefined ? undefined : fault("expected nothing more");
    if (character === undefined) return fault("it ends too early");
    if (
      (character === "]" && (expects === "value or ]" || expects === "end") && open.at(-1) === "[") ||
      (character === "}" && (expects === "key or }" || expects === "end") && open.at(-1) === "{")
    ) {
      open.pop();
      at++;
      expects = "end";
    } else if (expects === "end") {
      if (character !== ",") return fault(`expected "," or "${open.at(-1) === "{" ? "}" : "]"}"`);
      at++;
      expects = open.at(-1) === "{" ? "key" : "value";
    } else if (expects === ":") {
      if (character !== ":") return fault('expected ":"');
      at++;
      expects = "value";
    } else if (expects === "key" || expects === "key or }") {
      if (character !== '"') return fault("expected a name in double quotes");
      const broken = takeString();
      if (broken !== undefined) return broken;
      expects = ":";
    } else if (character === "{" || character === "[") {
      open.push(character);
      at++;
      expects = character === "{" ? "key or }" : "value or ]";
    } else if (character === '"') {
      const broken = takeString();
      if (broken !== undefined) return broken;
      expects = "end";
    } else if (take(NUMBER) || take(LITERAL)) expects = "end";
    else return fault("expected a value");
  }
}

function lineAndColumn(text: string, position: number): { line: number; column: number } {
  const before = text.slice(0, position).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
