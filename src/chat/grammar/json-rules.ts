import type { GrammarText } from "./grammar-text.ts";

/**
 * JSON without a schema. White space is bounded, so that a weak model cannot write it for ever: after `{`, `[` and `,`
 * and before `}` and `]` a blank or a line break with indentation, after `:` a blank.
 * Numbers stay within what a double can hold.
 */
const RULES: Readonly<Record<JsonRule, { body: string; needs: readonly JsonRule[] }>> = {
  ws: { body: '"" | " " | "\\n" [ \\t]{0,24}', needs: [] },
  hex: { body: "[0-9a-fA-F]", needs: [] },
  char: { body: '[^"\\\\\\x00-\\x1F] | "\\\\" ( ["\\\\/bfnrt] | "u" hex{4} )', needs: ["hex"] },
  // Characters that a JSON string cannot hold as they are.
  escape: { body: '"\\\\" ( ["\\\\bfnrt] | "u00" [01] hex )', needs: ["hex"] },
  string: { body: '"\\"" char* "\\""', needs: ["char"] },
  "string-rest": { body: 'char* "\\""', needs: ["char"] },
  natural: { body: '"0" | [1-9] [0-9]{0,15}', needs: [] },
  integer: { body: '"0" | "-"? [1-9] [0-9]{0,15}', needs: [] },
  number: {
    body: '"-"? natural ( "." [0-9]{1,25} )? ( [eE] ( "+"? [0-9]{1,2} | "-" [0-9]{1,3} ) )?',
    needs: ["natural"],
  },
  member: { body: 'string ":" " "? value', needs: ["string", "value"] },
  object: { body: '"{" ws ( member ( "," ws member )* ws )? "}"', needs: ["ws", "member"] },
  array: { body: '"[" ws ( value ( "," ws value )* ws )? "]"', needs: ["ws", "value"] },
  value: {
    body: 'object | array | string | number | "true" | "false" | "null"',
    needs: ["object", "array", "string", "number"],
  },
};

export type JsonRule =
  | "ws"
  | "hex"
  | "char"
  | "escape"
  | "string"
  | "string-rest"
  | "natural"
  | "integer"
  | "number"
  | "member"
  | "object"
  | "array"
  | "value";

/** Adds a rule of JSON, and those it needs, once. @returns its name */
export function jsonRule(grammar: GrammarText, name: JsonRule): JsonRule {
  if (grammar.has(name)) return name;
  const { body, needs } = RULES[name];
  grammar.set(name, body);
  for (const other of needs) jsonRule(grammar, other);
  return name;
}
