import type { JsonSchema } from "../../src/spec/tool.ts";

/** Each keyword by what it lets through and what not. Values are written as `JSON.stringify` writes them. */
export const SCHEMA_CASES: readonly { schema: JsonSchema; valid: unknown[]; invalid: unknown[] }[] = [
  { schema: true, valid: [null, true, 0, "a", [], {}, [{ a: [1] }]], invalid: [] },
  { schema: {}, valid: [null, "a", { b: 1 }], invalid: [] },
  { schema: { type: "null" }, valid: [null], invalid: [false, 0, "", "null"] },
  { schema: { type: "boolean" }, valid: [true, false], invalid: [null, 0, "true"] },
  {
    schema: { type: "integer" },
    valid: [0, 7, -12, 9007199254740991],
    invalid: [0.5, "1", null, 1e21],
  },
  {
    schema: { type: "number" },
    valid: [0, -1.5, 0.1 + 0.2, 1e-7, 1e21, -2.5e-9, 1234567890.125],
    invalid: ["1", null],
  },
  { schema: { type: ["string", "null"] }, valid: ["", null], invalid: [0, [], false] },
  { schema: { type: "string" }, valid: ["", 'a"b\\c\n\t\u0001\u2028é😀', "\ud800"], invalid: [1, null] },
  {
    schema: { type: "string", minLength: 2, maxLength: 3 },
    valid: ["ab", "é😀x"],
    invalid: ["", "a", "abcd"],
  },
  {
    schema: { type: "string", minLength: 250, maxLength: 1234 },
    valid: ["x".repeat(250), "x".repeat(777), "x".repeat(1234)],
    invalid: ["x".repeat(249), "x".repeat(1235)],
  },
  {
    schema: { type: "string", maxLength: 3000 },
    valid: ["", "x".repeat(2999), "x".repeat(3000)],
    invalid: ["x".repeat(3001)],
  },
  { schema: { type: "string", maxLength: 0 }, valid: [""], invalid: ["a"] },
  {
    schema: { type: "string", pattern: "^a+\\d{2}$" },
    valid: ["a12", "aaa00"],
    invalid: ["a1", "b12", "a123"],
  },
  { schema: { type: "string", pattern: "b" }, valid: ["b", "abc", '"b"'], invalid: ["", "ac"] },
  { schema: { type: "string", pattern: '^["\\\\\\n]$' }, valid: ['"', "\\", "\n"], invalid: ["a", ""] },
  {
    schema: { type: "string", pattern: "^[^x]*$", maxLength: 3 },
    valid: ["", "ab\n"],
    invalid: ["x", "abcd"],
  },
  { schema: { pattern: "^(?!no)[a-z]+$" }, valid: ["yes", "n"], invalid: ["no", "nope", 1] },
  {
    schema: { type: "string", format: "date" },
    valid: ["2024-02-29", "2000-02-29", "2023-12-31"],
    invalid: ["2023-02-29", "1900-02-29", "2023-04-31", "2023-13-01", "23-01-01"],
  },
  {
    schema: { type: "string", format: "time" },
    valid: ["23:59:59Z", "00:00:00.5+01:30"],
    invalid: ["24:00:00Z", "12:00"],
  },
  {
    schema: { type: "string", format: "date-time" },
    valid: ["2024-02-29T12:00:00Z"],
    invalid: ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z"],
  },
  {
    schema: { type: "string", format: "uuid" },
    valid: ["123e4567-e89b-12d3-a456-426614174000"],
    invalid: ["123e4567"],
  },
  { schema: { type: "string", format: "colour" }, valid: ["anything"], invalid: [1] },
  {
    schema: { type: "integer", minimum: -3, maximum: 12 },
    valid: [-3, 0, 9, 12],
    invalid: [-4, 13, 100, 1.5],
  },
  { schema: { type: "integer", exclusiveMinimum: 9, exclusiveMaximum: 11 }, valid: [10], invalid: [9, 11] },
  { schema: { type: "integer", minimum: 0.5, maximum: 2.5 }, valid: [1, 2], invalid: [0, 3] },
  { schema: { type: "integer", minimum: 100 }, valid: [100, 123456], invalid: [99, -100] },
  { schema: { type: "number", minimum: 0, maximum: 1 }, valid: [0, 0.25, 1], invalid: [-0.1, 1.01, 2] },
  { schema: { type: "number", exclusiveMinimum: 0 }, valid: [0.001, 17.5], invalid: [0, -1] },
  { schema: { type: "number", exclusiveMaximum: -1.25 }, valid: [-1.26, -20], invalid: [-1.25, 0, -1] },
  { schema: { type: "number", multipleOf: 1 }, valid: [3], invalid: [3.5] },
  {
    schema: { enum: ["red", 'a"b', 1, null, [1, { a: 2 }]] },
    valid: ["red", 'a"b', 1, null, [1, { a: 2 }]],
    invalid: ["blue", 2, [1], [1, { a: 3 }]],
  },
  { schema: { type: "string", enum: ["a", 1] }, valid: ["a"], invalid: [1] },
  { schema: { enum: ["a", "ab", "abc"], minLength: 2 }, valid: ["ab", "abc"], invalid: ["a"] },
  { schema: { const: { b: 1, a: [] } }, valid: [{ b: 1, a: [] }], invalid: [{ b: 1 }, { b: 2, a: [] }] },
  {
    schema: { enum: Array.from({ length: 40 }, (_, place) => `item ${place}`) },
    valid: ["item 0", "item 39"],
    invalid: ["item 40", "item"],
  },
  {
    schema: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "string" } },
      required: ["a"],
    },
    valid: [{ a: 1 }, { a: 1, b: "x" }],
    invalid: [{}, { b: "x" }, { a: "1" }, { a: 1, c: 1 }],
  },
  {
    schema: { type: "object", properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } } },
    valid: [{}, { a: 1 }, { b: 2 }, { c: 3 }, { a: 1, c: 3 }, { a: 1, b: 2, c: 3 }],
    invalid: [{ d: 1 }, { c: 1 }],
  },
  {
    schema: {
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } },
      required: ["b"],
      minProperties: 1,
    },
    valid: [{ b: 2 }, { a: 1, b: 2 }, { b: 2, c: 3 }],
    invalid: [{}, { a: 1 }, { c: 3 }, { a: 1, c: 3 }],
  },
  { schema: { type: "object" }, valid: [{}, { a: { b: [null] } }], invalid: [[], 1] },
  { schema: { type: "object", additionalProperties: false }, valid: [{}], invalid: [{ a: 1 }] },
  { schema: { type: "object", required: ["x"] }, valid: [{ x: [1] }], invalid: [{}, { y: 1 }] },
  {
    schema: {
      type: "object",
      properties: { ab: { type: "null" } },
      additionalProperties: { type: "integer" },
    },
    valid: [{}, { ab: null }, { a: 1 }, { abc: 1, "": 2 }, { ab: null, é: 3 }],
    invalid: [{ ab: 1 }, { a: "x" }, { a: null }],
  },
  {
    schema: { type: "object", additionalProperties: { type: "integer" }, maxProperties: 2, minProperties: 1 },
    valid: [{ a: 1 }, { a: 1, b: 2 }],
    invalid: [{}, { a: 1, b: 2, c: 3 }],
  },
  {
    schema: { type: "object", propertyNames: { pattern: "^x-" }, additionalProperties: true },
    valid: [{}, { "x-a": 1 }],
    invalid: [{ a: 1 }, { "y-x-": 1 }],
  },
  {
    schema: {
      type: "object",
      propertyNames: { type: "string", enum: ["a", "b"] },
      additionalProperties: { type: "number" },
      required: ["a", "b"],
    },
    valid: [{ a: 1, b: 2 }],
    invalid: [{ a: 1 }, { a: 1, b: 2, c: 3 }],
  },
  {
    schema: { type: "object", unevaluatedProperties: false, properties: { a: true } },
    valid: [{}, { a: [] }],
    invalid: [{ b: 1 }],
  },
  {
    schema: { type: "array", items: { type: "integer" } },
    valid: [[], [1], [1, 2, 3]],
    invalid: [["a"], [1, null]],
  },
  {
    schema: { type: "array", items: { type: "integer" }, minItems: 2, maxItems: 3 },
    valid: [
      [1, 2],
      [1, 2, 3],
    ],
    invalid: [[], [1], [1, 2, 3, 4]],
  },
  { schema: { type: "array", maxItems: 0 }, valid: [[]], invalid: [[1]] },
  {
    schema: { type: "array", prefixItems: [{ type: "integer" }, { type: "string" }] },
    valid: [[1, "a"]],
    invalid: [
      ["a", 1],
      [1, 1],
      [1, "a", 2],
    ],
  },
  {
    schema: { type: "array", prefixItems: [{ const: 1 }, { const: 2 }], minItems: 0, items: { const: 3 } },
    valid: [[], [1], [1, 2], [1, 2, 3, 3]],
    invalid: [[2], [1, 3], [1, 2, 4]],
  },
  {
    schema: { type: "array", prefixItems: [{ const: 1 }, { const: 2 }], minItems: 1, maxItems: 2 },
    valid: [[1], [1, 2]],
    invalid: [[], [1, 2, 3]],
  },
  {
    schema: { type: "array", items: [{ const: 1 }], additionalItems: { const: 2 } },
    valid: [[1], [1, 2, 2]],
    invalid: [[2], [1, 1]],
  },
  { schema: { type: "array", uniqueItems: false, items: { const: 0 } }, valid: [[0, 0]], invalid: [[1]] },
  {
    schema: {
      anyOf: [
        { type: "string", maxLength: 1 },
        { type: "integer", minimum: 5 },
      ],
    },
    valid: ["a", 5],
    invalid: ["ab", 4, null],
  },
  {
    schema: { anyOf: [{ type: "string" }, { type: "string", maxLength: 1 }, {}] },
    valid: ["ab", 1],
    invalid: [],
  },
  { schema: { type: "integer", anyOf: [{ minimum: 5 }, { maximum: -5 }] }, valid: [5, -5], invalid: [0] },
  {
    schema: {
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    valid: [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    invalid: [{}],
  },
  { schema: { oneOf: [{ type: "string" }, { type: "null" }] }, valid: ["a", null], invalid: [1] },
  {
    schema: {
      oneOf: [
        {
          type: "object",
          properties: { kind: { const: "circle" }, r: { type: "number" } },
          required: ["kind", "r"],
        },
        {
          type: "object",
          properties: { kind: { const: "square" }, side: { type: "number" } },
          required: ["kind", "side"],
        },
      ],
    },
    valid: [
      { kind: "circle", r: 1 },
      { kind: "square", side: 2 },
    ],
    invalid: [{ kind: "circle", side: 1 }, { kind: "square" }, {}],
  },
  {
    schema: {
      allOf: [
        { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
        { properties: { a: { minimum: 3 }, b: { type: "string" } }, required: ["b"] },
      ],
    },
    valid: [{ a: 3, b: "" }],
    invalid: [{ a: 2, b: "" }, { a: 3 }, { b: "" }],
  },
  {
    schema: { allOf: [{ enum: [1, 2, 3] }, { enum: [2, 3, 4] }], minimum: 3 },
    valid: [3],
    invalid: [1, 2, 4],
  },
  {
    schema: { allOf: [{ pattern: "a" }, { pattern: "b" }], type: "string" },
    valid: ["ab", "ba"],
    invalid: ["a", "b"],
  },
  {
    schema: {
      allOf: [{ items: { minimum: 2 } }, { prefixItems: [{ maximum: 5 }], items: { maximum: 9 } }],
      type: "array",
    },
    valid: [[], [2], [5, 9]],
    invalid: [[6], [5, 10], [1]],
  },
  { schema: { $ref: "#/$defs/a~1b%25", $defs: { "a/b%": { type: "integer" } } }, valid: [1], invalid: ["a"] },
  {
    schema: { $ref: "#/definitions/x", definitions: { x: { type: "integer" } }, maximum: 3 },
    valid: [3],
    invalid: [4, "a"],
  },
  {
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            value: { type: "integer" },
            next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
          },
          required: ["value", "next"],
        },
      },
    },
    valid: [
      { value: 1, next: null },
      { value: 1, next: { value: 2, next: null } },
    ],
    invalid: [{ value: 1 }, { value: 1, next: {} }, null],
  },
  { schema: { type: "array", items: { $ref: "#" } }, valid: [[], [[], [[]]]], invalid: [[1], 1] },
  {
    schema: { type: "object", properties: { a: { $ref: "#" } } },
    valid: [{}, { a: { a: {} } }],
    invalid: [{ a: 1 }],
  },
  {
    schema: { type: "object", properties: { never: false, a: { const: 1 } } },
    valid: [{ a: 1 }, {}],
    invalid: [{ never: 1 }],
  },
  {
    schema: {
      type: "object",
      properties: { 'qu"o\\te\n': { const: 1 }, "\ud83d": { const: 2 }, " ::= x": { const: 3 } },
    },
    valid: [{ 'qu"o\\te\n': 1, "\ud83d": 2, " ::= x": 3 }],
    invalid: [{ x: 1 }],
  },
  {
    schema: { type: "object", properties: { __proto__: { type: "integer" }, constructor: { const: 1 } } },
    valid: [{ constructor: 1 }],
    invalid: [{ toString: 1 }],
  },
  {
    schema: { title: "t", description: "d", default: 1, examples: [], "x-mine": 1, type: "null" },
    valid: [null],
    invalid: [1],
  },
  {
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          oneOf: ["and", "or"]
            .map((kind) => ({
              type: "object",
              properties: { kind: { const: kind }, left: { $ref: "#/$defs/node" } },
              required: ["left", "kind"],
            }))
            .concat([
              {
                type: "object",
                properties: { kind: { const: "leaf" }, left: {} as never },
                required: ["kind"],
              },
            ]),
        },
      },
    },
    valid: [
      { kind: "and", left: { kind: "leaf" } },
      { kind: "leaf", left: 1 },
    ],
    invalid: [{ kind: "and" }, { kind: "and", left: {} }],
  },
  {
    schema: { enum: Array.from({ length: 30 }, (_, place) => place * 7 - 50) },
    valid: [-50, -1, 6, 153],
    invalid: [0, 7, -5, 1530],
  },
  {
    schema: { type: "object", properties: { never: false, a: true }, additionalProperties: true },
    valid: [{}, { a: 1 }, { other: 1 }],
    invalid: [{ never: 1 }],
  },
  {
    schema: {
      allOf: ["string", "integer"].map((type) => ({
        type: "object",
        properties: { a: { type } },
        additionalProperties: true,
      })),
    },
    valid: [{}, { b: 1 }],
    invalid: [{ a: 1 }, { a: "x" }],
  },
  {
    schema: { type: "object", propertyNames: { maxLength: 1 }, properties: { ab: true, c: true } },
    valid: [{}, { c: 1 }],
    invalid: [{ ab: 1 }],
  },
  {
    schema: { anyOf: [{ type: "string", maxLength: 0, pattern: "a" }, { type: "null" }] },
    valid: [null],
    invalid: ["", "a"],
  },
  {
    schema: { type: "string", pattern: "^https?://", maxLength: 2048 },
    valid: ["http://a", `https://${"x".repeat(2040)}`],
    invalid: ["ftp://a", `https://${"x".repeat(2041)}`],
  },
];
