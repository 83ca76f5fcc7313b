import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Gbnf } from "../../test/support/gbnf.ts";
import { SCHEMA_CASES } from "../../test/support/schema-cases.ts";
import { isValid } from "../../test/support/validate-schema.ts";
import type { JsonSchema } from "../spec/tool.ts";
import { JSON_GRAMMAR, jsonSchemaToGrammar } from "./json-schema-grammar.ts";

const grammarOf = (schema: JsonSchema): Gbnf => new Gbnf(jsonSchemaToGrammar(schema));

const refused = (grammar: Gbnf, texts: readonly string[]): string[] =>
  texts.filter((text) => !grammar.accepts(text));
const accepted = (grammar: Gbnf, texts: readonly string[]): string[] =>
  texts.filter((text) => grammar.accepts(text));
const asJson = (values: readonly unknown[], space?: number): string[] =>
  values.map((value) => JSON.stringify(value, null, space));

describe("jsonSchemaToGrammar", () => {
  it.each(SCHEMA_CASES.map((entry) => [JSON.stringify(entry.schema), entry] as const))(
    "%s",
    (_, { schema, valid, invalid }) => {
      const grammar = grammarOf(schema);
      expect(refused(grammar, [...asJson(valid), ...asJson(valid, 2)])).toEqual([]);
      expect(accepted(grammar, asJson(invalid))).toEqual([]);
    },
  );

  it("bounds white space", () => {
    const grammar = grammarOf({ type: "array", items: { type: "integer" } });
    expect(grammar.accepts("[\n  1, 2\n]")).toBe(true);
    const tooMuch = [" [1]", "[1] ", "[  1]", "[1 , 2]", `[\n${" ".repeat(25)}1]`];
    expect(accepted(grammar, tooMuch)).toEqual([]);
  });

  it("format json is an object", () => {
    const grammar = new Gbnf(JSON_GRAMMAR);
    expect(refused(grammar, asJson([{}, { a: [1, { b: "\u0000" }], "": null }]))).toEqual([]);
    const broken = ["[]", "1", "{a:1}", '{"a":1,}', '{"a":01}', '{"a":1}x', '{"a":"\n"}'];
    expect(accepted(grammar, broken)).toEqual([]);
  });
});

/** A schema, and values that fit it, written in the order that the grammar keeps. */
interface Sample {
  schema: JsonSchema;
  values: fc.Arbitrary<unknown>;
}

const strings = fc.string({ unit: fc.constantFrom("a", "b", "é", '"', "\\", "\n", "😀", "1"), maxLength: 6 });
const names = fc.constantFrom("a", "ab", "b", 'q"', "é", "");

const { sample } = fc.letrec<{ sample: Sample; leaf: Sample; object: Sample; array: Sample; union: Sample }>(
  (tie) => ({
    sample: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      tie("leaf"),
      tie("object"),
      tie("array"),
      tie("union"),
    ),
    leaf: fc.oneof(
      fc.constant<Sample>({ schema: { type: "null" }, values: fc.constant(null) }),
      fc.constant<Sample>({ schema: { type: "boolean" }, values: fc.boolean() }),
      fc.constant<Sample>({
        schema: { type: "number" },
        values: fc.double({ min: -1e15, max: 1e15, noNaN: true }),
      }),
      fc.constant<Sample>({
        schema: true,
        values: fc
          .jsonValue({ maxDepth: 2 })
          .filter((value) => !/e\+\d{3}|(?:^|[^.\d])\d{17}/.test(JSON.stringify(value))),
      }),
      fc.tuple(fc.integer(), fc.nat()).map(([min, size]): Sample => {
        const max = min + size;
        return {
          schema: { type: "integer", minimum: min, maximum: max },
          values: fc.integer({ min, max: Math.min(max, 2 ** 31 - 1) }),
        };
      }),
      fc.tuple(fc.integer({ min: -99, max: 99 }), fc.nat({ max: 99 })).map(([min, size]): Sample => ({
        schema: { type: "number", minimum: min / 10, maximum: (min + size) / 10 },
        values: fc.integer({ min: min * 10, max: (min + size) * 10 }).map((value) => value / 100),
      })),
      fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 300 })).map(([minLength, more]): Sample => ({
        schema: { type: "string", minLength, maxLength: minLength + more },
        values: fc.string({ unit: "grapheme", minLength: 0, maxLength: 8 }).map((text) => {
          const letters = Array.from(text).slice(0, minLength + more);
          return letters.join("") + "x".repeat(Math.max(0, minLength - letters.length));
        }),
      })),
      fc.constantFrom("^[ab]+$", "a", "^\\d{1,3}(?:x|yz)?$", '["\\\\]').map((pattern): Sample => ({
        schema: { type: "string", pattern },
        values: fc.stringMatching(new RegExp(pattern, "u")),
      })),
      fc
        .array(fc.oneof(strings, fc.integer(), fc.constant(null), fc.array(fc.nat(), { maxLength: 2 })), {
          minLength: 1,
          maxLength: 20,
        })
        .map((items): Sample => ({ schema: { enum: items }, values: fc.constantFrom(...items) })),
    ),
    object: fc
      .tuple(
        fc.uniqueArray(fc.record({ name: names, required: fc.boolean(), of: tie("sample") }), {
          selector: ({ name }) => name,
          maxLength: 4,
        }),
        fc.option(tie("leaf")),
      )
      .map(([members, additional]): Sample => ({
        schema: {
          type: "object",
          properties: Object.fromEntries(members.map(({ name, of }) => [name, of.schema])),
          required: members.filter(({ required }) => required).map(({ name }) => name),
          additionalProperties: additional === null ? false : additional.schema,
        },
        values: fc
          .tuple(
            fc.tuple(
              ...members.map(({ required, of }) =>
                fc.tuple(required ? fc.constant(true) : fc.boolean(), of.values),
              ),
            ),
            additional === null
              ? fc.constant({})
              : fc.dictionary(
                  strings.map((name) => `x${name}`),
                  additional.values,
                  { maxKeys: 2 },
                ),
          )
          .map(([values, others]) =>
            Object.fromEntries([
              ...members.flatMap(({ name }, place) =>
                values[place]?.[0] === true ? [[name, values[place]?.[1]]] : [],
              ),
              ...Object.entries(others),
            ]),
          ),
      })),
    array: fc
      .tuple(fc.array(tie("sample"), { maxLength: 2 }), tie("sample"), fc.nat({ max: 3 }), fc.nat({ max: 3 }))
      .map(([prefix, items, minItems, more]): Sample => ({
        schema: {
          type: "array",
          prefixItems: prefix.map(({ schema }) => schema),
          items: items.schema,
          minItems,
          maxItems: minItems + more,
        },
        values: fc
          .integer({ min: minItems, max: minItems + more })
          .chain((length) =>
            fc.tuple(...Array.from({ length }, (_, place) => (prefix[place] ?? items).values)),
          ),
      })),
    union: fc.tuple(tie("sample"), tie("sample")).map(([a, b]): Sample => ({
      schema: { anyOf: [a.schema, b.schema] },
      values: fc.oneof(a.values, b.values),
    })),
  }),
);

describe("for any schema", () => {
  const random = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
    minLength: 50,
    maxLength: 50,
  });
  const withValues = (
    schema: JsonSchema,
    values: fc.Arbitrary<unknown>,
  ): fc.Arbitrary<[JsonSchema, string[]]> =>
    fc.array(values, { maxLength: 6 }).map((list) => [schema, asJson(list)]);
  const fits = (schema: JsonSchema) => (text: string) => isValid(JSON.parse(text), schema);

  it("accepts every value that fits", () => {
    fc.assert(
      fc.property(
        sample.chain(({ schema, values }) => withValues(schema, values)),
        ([schema, texts]) => {
          const grammar = grammarOf(schema);
          expect(texts.filter(fits(schema))).toEqual(texts);
          expect(refused(grammar, texts)).toEqual([]);
          expect(
            refused(
              grammar,
              asJson(
                texts.map((text) => JSON.parse(text) as unknown),
                1,
              ),
            ),
          ).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("writes only values that fit", () => {
    fc.assert(
      fc.property(sample, random, ({ schema }, numbers) => {
        const grammar = grammarOf(schema);
        let at = 0;
        const texts = Array.from({ length: 5 }, () => grammar.sample(() => numbers[at++ % 50] as number, 30));
        const whole = texts.filter((text) => text !== undefined);
        expect(whole.filter(fits(schema))).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it("accepts no value that does not fit", () => {
    fc.assert(
      fc.property(
        fc.tuple(sample, sample).chain(([{ schema }, { values }]) => withValues(schema, values)),
        ([schema, texts]) => {
          const wrong = texts.filter((text) => !fits(schema)(text));
          expect(accepted(grammarOf(schema), wrong)).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("combines schemas as allOf says", () => {
    fc.assert(
      fc.property(
        fc
          .tuple(sample, sample)
          .chain(([a, b]) => withValues({ allOf: [a.schema, b.schema] }, fc.oneof(a.values, b.values))),
        ([schema, texts]) => {
          let grammar = new Gbnf('root ::= "nothing fits both"');
          try {
            grammar = grammarOf(schema);
          } catch (error) {
            if (!String(error).includes("No value fits")) throw error;
          }
          expect(
            accepted(
              grammar,
              texts.filter((text) => !fits(schema)(text)),
            ),
          ).toEqual([]);
          // Properties may stand in another order, and very long fractions have no place beside limits.
          const plain = texts.filter((text) => !/\{|e[+-]|\.\d{9}/.test(text));
          expect(refused(grammar, plain.filter(fits(schema)))).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
