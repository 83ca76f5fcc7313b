import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Gbnf } from "../../test/support/gbnf.ts";
import { MullError } from "../spec/errors.ts";
import type { JsonSchema } from "../spec/tool.ts";
import { jsonSchemaToGrammar } from "./json-schema-grammar.ts";

/** The code, message and details of what is thrown for a schema; the grammar as message if nothing is. */
function refusal(schema: unknown): { code?: string; message: string; details: Record<string, unknown> } {
  try {
    return { message: jsonSchemaToGrammar(schema as JsonSchema), details: {} };
  } catch (error) {
    if (MullError.is(error)) return error;
    throw error;
  }
}

function nested(depth: number, wrap: (inner: JsonSchema) => JsonSchema): JsonSchema {
  let schema: JsonSchema = { type: "null" };
  for (let level = 0; level < depth; level++) schema = wrap(schema);
  return schema;
}

describe("what cannot be enforced", () => {
  it.each<[string, unknown, string]>([
    ["not", { not: { type: "null" } }, "#"],
    ["if", { if: {}, else: false }, "#"],
    [
      "uniqueItems",
      { type: "object", properties: { a: { type: "array", uniqueItems: true } } },
      "#/properties/a",
    ],
    ["contains", { items: { contains: {} } }, "#/items"],
    ["patternProperties", { $ref: "#/$defs/a", $defs: { a: { patternProperties: { a: {} } } } }, "#/$defs/a"],
    ["dependentRequired", { anyOf: [true, { dependentRequired: { a: ["b"] } }] }, "#/anyOf/1"],
    ["unevaluatedProperties", { allOf: [{}], unevaluatedProperties: false }, "#"],
    ["multipleOf", { type: "number", multipleOf: 0.5 }, "#"],
    ["$dynamicRef", { $dynamicRef: "#a" }, "#"],
    ["$ref", { $ref: "https://example.com/schema" }, "#"],
    ["$ref", { $ref: "#/$defs/none" }, "#"],
    ["$ref", { $ref: "#/$defs/none", $defs: [] }, "#"],
    ["minProperties", { type: "object", additionalProperties: true, minProperties: 2 }, "#"],
    ["maxProperties", { type: "object", properties: { a: {}, b: {} }, maxProperties: 1 }, "#"],
    ["oneOf", { oneOf: [{ type: "integer" }, { type: "number" }] }, "#"],
    ["oneOf", { oneOf: [{ properties: { a: {} } }, { properties: { b: {} } }] }, "#"],
    ["oneOf", { oneOf: [{ required: ["a"] }, { required: ["b"] }], additionalProperties: true }, "#"],
    ["pattern", { type: "string", pattern: "(a)\\1" }, "#"],
    ["pattern", { type: "string", pattern: "\\bword" }, "#"],
    ["pattern", { type: "string", pattern: "(?<=a)b" }, "#"],
    ["pattern", { type: "string", pattern: "(a(?=b))" }, "#"],
    ["pattern", { type: "string", pattern: "\\p{L}" }, "#"],
    ["pattern", { type: "string", pattern: "(" }, "#"],
    ["pattern", { type: "string", pattern: "a{2000}" }, "#"],
    ["type", { type: "strnig" }, "#"],
    ["minLength", { minLength: -1 }, "#"],
    ["minimum", { minimum: "1" }, "#"],
    ["minimum", { minimum: 1e-200 }, "#"],
    ["properties", { properties: [] }, "#"],
    ["properties", { properties: { "a/b": 1 } }, "#/properties/a~1b"],
    ["required", { required: [1] }, "#"],
    ["enum", { enum: "a" }, "#"],
  ])("%s is refused by name and place: %j", (keyword, schema, pointer) => {
    expect(refusal(schema)).toMatchObject({ code: "invalid_argument", details: { keyword, pointer } });
  });

  it.each<[string, unknown]>([
    ["false", false],
    ["limits that exclude each other", { type: "integer", minimum: 3, maximum: 2 }],
    ["types that exclude each other", { allOf: [{ type: "string" }, { type: "number" }] }],
    [
      "a required property that is forbidden",
      { required: ["a"], additionalProperties: false, properties: {} },
    ],
    ["a pattern that nothing matches", { type: "string", pattern: "a^" }],
    ["an object within itself without end", { properties: { a: { $ref: "#" } }, required: ["a"] }],
    ["an array within itself without end", { type: "array", items: { $ref: "#" }, minItems: 1 }],
    ["an empty list of values", { enum: [] }],
  ])("no value fits: %s", (_, schema) => {
    expect(refusal(schema).message).toMatch(/^No value fits the schema at #/);
  });

  it("leaves out what has no end where it may be left out", () => {
    const endless = {
      $ref: "#/$defs/a",
      $defs: { a: { properties: { a: { $ref: "#/$defs/a" } }, required: ["a"] } },
    };
    const grammar = new Gbnf(
      jsonSchemaToGrammar({
        anyOf: [{ $ref: "#/$defs/a" }, { type: "array", items: { $ref: "#/$defs/a" } }],
        $defs: endless.$defs,
      }),
    );
    expect(grammar.accepts("[]")).toBe(true);
    expect(grammar.allows("{")).toBe(false);
    expect(grammar.allows("[{")).toBe(false);
  });

  it.each<[string, unknown]>([
    ["a reference to itself", { $ref: "#" }],
    [
      "a circle of references",
      { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { anyOf: [{ $ref: "#/$defs/a" }] } } },
    ],
    ["allOf of itself", { allOf: [{ $ref: "#" }], type: "object" }],
  ])("%s never reads a character", (_, schema) => {
    expect(refusal(schema).message).toMatch(/refers only to itself/);
  });
});

describe("schemas made to hurt", () => {
  const tooComplex =
    /^The schema(?: is too complex| at .* has nested alternatives|'s "pattern" .* nested deeper)/;
  const defs = (count: number, make: (level: number) => unknown): Record<string, unknown> =>
    Object.fromEntries(Array.from({ length: count }, (_, level) => [`d${level}`, make(level)]));
  const ref = (level: number): unknown => ({ $ref: `#/$defs/d${level}` });

  it.each<[string, unknown]>([
    ["combinations nested deep", nested(5000, (inner) => ({ anyOf: [inner] }))],
    [
      "objects nested deeper than any rule limit",
      nested(20_000, (inner) => ({ type: "object", properties: { a: inner } })),
    ],
    [
      "alternatives that multiply",
      {
        allOf: Array.from({ length: 12 }, (_, n) => ({ anyOf: [{ minItems: n }, { maxItems: 99 - n }] })),
        type: "array",
      },
    ],
    ["a pattern with 2^20 states", { type: "string", pattern: "^(a|b)*a(a|b){20}$" }],
    ["a pattern with 10^9 copies", { type: "string", pattern: "^(((a{900}){900}){900})$" }],
    ["a pattern with deep groups", { type: "string", pattern: `${"(".repeat(500)}a${")".repeat(500)}` }],
    ["many items", { type: "array", items: {}, minItems: 1_000_000 }],
    ["many items at most", { type: "array", items: {}, maxItems: 5000 }],
    ["a length without end beside a pattern", { type: "string", pattern: "a", maxLength: 1e9 }],
    [
      "many lengths",
      {
        anyOf: Array.from({ length: 240 }, (_, n) => ({
          type: "array",
          items: { type: "string", minLength: 200 + n, maxLength: 900 + n },
        })),
      },
    ],
    [
      "many names",
      {
        type: "object",
        properties: Object.fromEntries(
          Array.from({ length: 9000 }, (_, n) => [`property ${n} ${"x".repeat(50)}`, {}]),
        ),
      },
    ],
    ["a long value", { enum: ["x".repeat(300_000)] }],
    ["a deep value", { const: JSON.parse("[".repeat(2000) + "]".repeat(2000)) }],
    [
      "many patterns",
      {
        anyOf: Array.from({ length: 200 }, (_, n) => ({
          type: "array",
          items: { type: "string", pattern: `(a|b)*a(a|b){${n % 11}}c{${n}}` },
        })),
      },
    ],
    [
      "two readings of every bracket",
      {
        $ref: "#/$defs/d0",
        $defs: defs(1, () => ({
          anyOf: [
            { type: "array", items: ref(0), maxItems: 1 },
            { type: "array", items: ref(0), minItems: 2 },
          ],
        })),
      },
    ],
    [
      "two readings of every brace",
      {
        $ref: "#/$defs/d0",
        $defs: defs(1, () => ({
          anyOf: ["x", "y"].map((op) => ({
            type: "object",
            properties: { left: ref(0), op: { const: op } },
            required: ["op"],
          })),
        })),
      },
    ],
    [
      "two readings of every bracket, forty deep",
      {
        ...(ref(39) as object),
        $defs: defs(40, (n) =>
          n === 0
            ? { type: "array" }
            : { anyOf: [1, 2].map((minItems) => ({ type: "array", items: ref(n - 1), minItems })) },
        ),
      },
    ],
  ])("%s", (_, schema) => {
    expect(refusal(schema).message).toMatch(tooComplex);
  });

  it.each<[string, unknown]>([
    [
      "the same alternative said often",
      {
        ...(ref(24) as object),
        $defs: defs(25, (n) => (n === 0 ? { type: "object" } : { anyOf: [ref(n - 1), ref(n - 1)] })),
      },
    ],
    [
      "the same restriction said often",
      {
        ...(ref(24) as object),
        $defs: defs(25, (n) => (n === 0 ? { type: "object" } : { allOf: [ref(n - 1), ref(n - 1)] })),
      },
    ],
    [
      "a syntax tree whose nodes begin with their kind",
      {
        ...(ref(0) as object),
        $defs: defs(1, () => ({
          anyOf: [
            ...["add", "subtract"].map((kind) => ({
              type: "object",
              properties: { kind: { const: kind }, left: ref(0), right: ref(0) },
              required: ["kind", "left", "right"],
            })),
            { type: "number" },
          ],
        })),
      },
    ],
    [
      "objects nested deep",
      nested(400, (inner) => ({ type: "object", properties: { a: inner }, required: ["a"] })),
    ],
    [
      "a hundred optional properties",
      {
        type: "object",
        properties: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`p${n}`, { type: "integer" }])),
      },
    ],
    ["a thousand values", { enum: Array.from({ length: 1000 }, (_, n) => `value ${n}`) }],
    [
      "zod's e-mail address",
      {
        type: "string",
        format: "email",
        pattern:
          "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
      },
    ],
  ])("works: %s", (_, schema) => {
    const grammar = new Gbnf(jsonSchemaToGrammar(schema as JsonSchema));
    grammar.allows('{"kind": "add", "left": {"kind": "subtract", "left": {"kind": "add"');
    grammar.allows('{"p0": 1, ');
    grammar.allows('{"a": {"a": {"a": {"a": {"a": {"a": {"a"');
    expect(grammar.mostStacks).toBeLessThan(250);
  });

  it("nothing in a name, a value or a pattern adds to the grammar", () => {
    const anything = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .array(
          fc.constantFrom(
            '"',
            "\\",
            "\n",
            "root ::= ",
            "|",
            "[",
            "]",
            "\u0000",
            "\ud800",
            "\udc00",
            "-",
            "^",
            "é",
          ),
          { maxLength: 8 },
        )
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(anything, anything, anything, fc.boolean(), (name, value, letters, open) => {
        const pattern = `^[${Array.from(letters, (letter) => (letter.isWellFormed() ? `\\u{${letter.codePointAt(0)?.toString(16)}}` : "")).join("")}a]$`;
        const schema = {
          type: "object",
          properties: {
            [name]: { enum: [value, `${value}!`, ...Array.from({ length: 15 }, String)] },
            "another name": { type: "string", pattern },
          },
          required: [name],
          additionalProperties: open,
        };
        const grammar = new Gbnf(jsonSchemaToGrammar(schema));
        expect(grammar.accepts(JSON.stringify({ [name]: value }))).toBe(true);
        expect(grammar.accepts(JSON.stringify({ [name]: `${value}?` }))).toBe(false);
        expect(grammar.accepts(JSON.stringify({ [`${name}x`]: value }))).toBe(false);
      }),
    );
  });

  it("any JSON as a schema gives a sound grammar or a reason", () => {
    const keyword = fc.constantFrom(
      "type",
      "properties",
      "required",
      "items",
      "prefixItems",
      "minItems",
      "maxItems",
      "anyOf",
      "allOf",
      "enum",
      "const",
      "$ref",
      "pattern",
      "minLength",
      "maximum",
      "additionalProperties",
      "propertyNames",
      "minProperties",
      "a",
    );
    const { schema } = fc.letrec((tie) => ({
      schema: fc.oneof(
        { depthSize: "medium" },
        fc.constantFrom<unknown>(
          "object",
          "array",
          "string",
          "integer",
          "#",
          "#/properties/a",
          "a",
          "a+",
          ["a"],
          0,
          1,
          2,
          true,
          false,
          {},
          null,
        ),
        fc.dictionary(keyword, tie("schema"), { maxKeys: 4 }),
        fc.array(tie("schema"), { maxLength: 3 }),
      ),
    }));
    fc.assert(
      fc.property(schema, fc.nat(), (schema, seed) => {
        const { code, message } = refusal(schema);
        let state = seed;
        const random = (): number => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
        const text = code === undefined ? new Gbnf(message).sample(random, 20) : undefined;
        expect(code ?? "invalid_argument").toBe("invalid_argument");
        expect(() => JSON.parse(text ?? "null") as unknown).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});
