import { schemaError } from "./schema-error.ts";
import type { Place } from "./shape.ts";

export type Keywords = Readonly<Record<string, unknown>>;

const COMBINATORS = ["$ref", "allOf", "anyOf", "oneOf", "if"];

/** Keywords that restrict values and have no grammar, and when they may stand there all the same. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown, schema: Keywords) => boolean>> = {
  not: () => false,
  if: (_, schema) => !("then" in schema) && !("else" in schema),
  dependentRequired: isEmptyObject,
  dependentSchemas: isEmptyObject,
  dependencies: isEmptyObject,
  patternProperties: isEmptyObject,
  contains: () => false,
  uniqueItems: (value, schema) => value === false || (schema["maxItems"] as number) <= 1,
  unevaluatedProperties: (value, schema) =>
    saysAll(value) || !COMBINATORS.some((keyword) => keyword in schema),
  unevaluatedItems: (value, schema) => saysAll(value) || !COMBINATORS.some((keyword) => keyword in schema),
  multipleOf: (value) => value === 1,
  $dynamicRef: () => false,
  $recursiveRef: () => false,
};

/** @throws MullError `invalid_argument` that names a keyword whose restriction would be lost */
export function requireSupported(schema: Keywords, place: Place): void {
  for (const [keyword, value] of Object.entries(schema)) {
    const harmless = Object.hasOwn(UNSUPPORTED, keyword) ? UNSUPPORTED[keyword] : undefined;
    if (harmless !== undefined && !harmless(value, schema)) {
      throw schemaError(keyword, place.pointer, "cannot be enforced");
    }
  }
}

/** The value of a keyword that must be a count, or a default. */
export function countOf(schema: Keywords, keyword: string, place: Place, otherwise: number): number {
  const value = schema[keyword];
  if (value === undefined) return otherwise;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw schemaError(keyword, place.pointer, "is no whole number of at least 0");
}

export function numberOf(schema: Keywords, keyword: string, place: Place): number | undefined {
  const value = schema[keyword];
  if (value === undefined || typeof value === "number") return value;
  throw schemaError(keyword, place.pointer, "is no number");
}

export function stringOf(schema: Keywords, keyword: string, place: Place): string | undefined {
  const value = schema[keyword];
  if (value === undefined || typeof value === "string") return value;
  throw schemaError(keyword, place.pointer, "is no string");
}

export function listOf(schema: Keywords, keyword: string, place: Place): readonly unknown[] | undefined {
  const value = schema[keyword];
  if (value === undefined || Array.isArray(value)) return value;
  throw schemaError(keyword, place.pointer, "is no array");
}

/** Names of the members of a keyword that must be an object. */
export function namesOf(schema: Keywords, keyword: string, place: Place): string[] {
  const value = schema[keyword] ?? {};
  if (typeof value === "object" && !Array.isArray(value)) return Object.keys(value);
  throw schemaError(keyword, place.pointer, "is no object");
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function saysAll(value: unknown): boolean {
  return value === true || isEmptyObject(value);
}
