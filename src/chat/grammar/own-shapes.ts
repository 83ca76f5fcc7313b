import type { Automaton } from "./automaton.ts";
import { Budget, tooComplex } from "./budget.ts";
import { fits, hasNumber, intersectStrings, isSameValue, tighter } from "./intersect-shapes.ts";
import { type Bound, toDecimal } from "./number-language.ts";
import { patternAutomaton } from "./pattern.ts";
import type { SchemaDocument } from "./schema-document.ts";
import { schemaError } from "./schema-error.ts";
import { type Keywords, countOf, listOf, namesOf, numberOf, stringOf } from "./schema-keywords.ts";
import type {
  ArrayShape,
  NumberShape,
  ObjectShape,
  Place,
  Shape,
  ShapeContext,
  StringShape,
} from "./shape.ts";
import { stringsAutomaton } from "./string-language.ts";
import { FORMAT_PATTERNS } from "./string-formats.ts";

const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"];
/** Keywords that speak of one kind of value only. */
const SPEAKS_OF = {
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  string: ["minLength", "maxLength", "pattern", "format"],
  array: [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "minItems",
    "maxItems",
    "uniqueItems",
  ],
  object: [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
  ],
};
const DEEPEST_LITERAL = 50;

/** Whether any keyword restricts values without combining other schemas. */
export function speaksOfValues(schema: Keywords): boolean {
  return ["type", "enum", "const", ...Object.values(SPEAKS_OF).flat()].some((keyword) => keyword in schema);
}

/** What a schema's own keywords allow; those that combine other schemas are left to the reader. */
export function ownShapes(
  schema: Keywords,
  place: Place,
  document: SchemaDocument,
  context: ShapeContext,
): Shape[] {
  const types = typesOf(schema, place);
  const has = (type: string): boolean => types === undefined || types.includes(type);
  const implicit = (kind: keyof typeof SPEAKS_OF): boolean =>
    types === undefined && !SPEAKS_OF[kind].some((keyword) => keyword in schema);
  const shapes: (Shape | undefined)[] = [];
  const literal = (value: unknown): Shape => ({ kind: "literal", implicit: types === undefined, value });
  if (has("null")) shapes.push(literal(null));
  if (has("boolean")) shapes.push(literal(true), literal(false));
  if (has("number") || has("integer")) {
    shapes.push(numberShape(schema, place, !has("number"), implicit("number")));
  }
  if (has("string")) shapes.push(stringShape(schema, place, implicit("string"), context));
  if (has("array")) shapes.push(arrayShape(schema, place, implicit("array"), document));
  if (has("object")) shapes.push(objectShape(schema, place, implicit("object"), document, context));
  const found = shapes.flatMap((shape) => shape ?? []);

  const values = literalsOf(schema, place);
  if (values === undefined) return found;
  return values
    .filter((value) => found.some((shape) => fits(value, shape, context)))
    .map((value) => ({ kind: "literal", implicit: false, value }));
}

function typesOf(schema: Keywords, place: Place): readonly string[] | undefined {
  const { type } = schema;
  if (type === undefined) return undefined;
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  return types.map((name) => {
    if (typeof name === "string" && TYPES.includes(name)) return name;
    throw schemaError(
      "type",
      place.pointer,
      `is ${JSON.stringify(name)}: it must be one of ${TYPES.join(", ")}`,
    );
  });
}

/** Values of `enum` and `const`, as far as both agree. */
function literalsOf(schema: Keywords, place: Place): unknown[] | undefined {
  const listed = listOf(schema, "enum", place);
  const fixed = "const" in schema ? [schema["const"]] : undefined;
  const values = listed ?? fixed;
  if (values === undefined) return undefined;
  for (const value of values) requireShallow(value, place, 0);
  const unique = new Map(values.map((value) => [JSON.stringify(value), value]));
  const [only] = fixed ?? [];
  return [...unique.values()].filter((value) => fixed === undefined || isSameValue(value, only));
}

function requireShallow(value: unknown, place: Place, depth: number): void {
  if (depth > DEEPEST_LITERAL) throw tooComplex(`a value at ${place.pointer} is nested too deep`);
  if (typeof value !== "object" || value === null) return;
  for (const inner of Object.values(value)) requireShallow(inner, place, depth + 1);
}

function numberShape(
  schema: Keywords,
  place: Place,
  integer: boolean,
  implicit: boolean,
): NumberShape | undefined {
  const bound = (keyword: string, exclusive: boolean): Bound | undefined => {
    const value = numberOf(schema, keyword, place);
    if (value === undefined) return undefined;
    const decimal = toDecimal(value);
    if (decimal === undefined) throw schemaError(keyword, place.pointer, "has too many digits");
    return { decimal, exclusive };
  };
  const shape: NumberShape = {
    kind: "number",
    implicit,
    integer: integer || schema["multipleOf"] === 1,
    min: tighter(bound("minimum", false), bound("exclusiveMinimum", true), 1),
    max: tighter(bound("maximum", false), bound("exclusiveMaximum", true), -1),
  };
  return hasNumber(shape) ? shape : undefined;
}

function stringShape(
  schema: Keywords,
  place: Place,
  implicit: boolean,
  context: ShapeContext,
): StringShape | undefined {
  const pattern = stringOf(schema, "pattern", place);
  const format = formatAutomaton(stringOf(schema, "format", place) ?? "");
  const matching =
    pattern === undefined
      ? undefined
      : patternAutomaton(pattern, context.budget, (why) => {
          throw schemaError("pattern", place.pointer, `cannot be enforced: ${why}`);
        });
  const shape: StringShape = {
    kind: "string",
    implicit,
    minLength: countOf(schema, "minLength", place, 0),
    maxLength: countOf(schema, "maxLength", place, Infinity),
    automaton: matching,
  };
  const formatted: StringShape = { ...shape, automaton: format };
  return intersectStrings(shape, formatted, implicit, context);
}

/** Formats never change, so their automata are made once. */
const formatAutomata = new Map<string, Automaton>();

function formatAutomaton(format: string): Automaton | undefined {
  const pattern = FORMAT_PATTERNS.get(format);
  if (pattern === undefined) return undefined;
  let automaton = formatAutomata.get(format);
  if (automaton === undefined) {
    automaton = patternAutomaton(pattern, new Budget(), (why) => {
      throw new Error(why);
    });
    formatAutomata.set(format, automaton);
  }
  return automaton;
}

function arrayShape(
  schema: Keywords,
  place: Place,
  implicit: boolean,
  document: SchemaDocument,
): ArrayShape | undefined {
  // Before draft 2020-12, an array of schemas in "items" was what "prefixItems" is now.
  const oldTuple = Array.isArray(schema["items"]);
  const prefixKeyword = oldTuple ? "items" : "prefixItems";
  const prefix = listOf(schema, prefixKeyword, place) ?? [];
  const itemsKeyword = ["unevaluatedItems", oldTuple ? "additionalItems" : "items"].findLast(
    (key) => key in schema,
  );
  const minItems = "minItems" in schema ? countOf(schema, "minItems", place, 0) : undefined;
  const maxItems = countOf(schema, "maxItems", place, Infinity);
  if ((minItems ?? 0) > maxItems) return undefined;
  return {
    kind: "array",
    implicit,
    prefix: prefix.map((_, index) => document.node([document.inside(place, prefixKeyword, index)])),
    items: document.node(itemsKeyword === undefined ? [] : [document.inside(place, itemsKeyword)]),
    itemsStated: itemsKeyword !== undefined,
    minItems,
    maxItems,
  };
}

function objectShape(
  schema: Keywords,
  place: Place,
  implicit: boolean,
  document: SchemaDocument,
  context: ShapeContext,
): ObjectShape | undefined {
  const required = listOf(schema, "required", place) ?? [];
  const additionalKeyword = ["unevaluatedProperties", "additionalProperties"].findLast(
    (key) => key in schema,
  );
  const minProperties = countOf(schema, "minProperties", place, 0);
  const maxProperties = countOf(schema, "maxProperties", place, Infinity);
  if (minProperties > maxProperties) return undefined;
  return {
    kind: "object",
    implicit,
    properties: new Map(
      namesOf(schema, "properties", place).map((name) => [
        name,
        document.node([document.inside(place, "properties", name)]),
      ]),
    ),
    propertiesStated: "properties" in schema,
    required: new Set(
      required.map((name) => {
        if (typeof name === "string") return name;
        throw schemaError("required", place.pointer, "holds something that is no string");
      }),
    ),
    additional: document.node(
      additionalKeyword === undefined ? [] : [document.inside(place, additionalKeyword)],
    ),
    additionalStated: additionalKeyword !== undefined,
    names:
      "propertyNames" in schema
        ? nameAutomaton(document.inside(place, "propertyNames"), document, context)
        : undefined,
    minProperties,
    maxProperties,
  };
}

/** The names that a schema of names allows; undefined: all. */
function nameAutomaton(place: Place, document: SchemaDocument, context: ShapeContext): Automaton | undefined {
  const shapes = context.shapesOf(document.node([place]));
  return stringsAutomaton(shapes, context.budget);
}
