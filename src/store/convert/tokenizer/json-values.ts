import { invalidModel, quote } from "../../../gguf/invalid-model.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

// Values of JSON files, which may hold anything. Each function names the file and the field in its error;
// those that start with `optional` give undefined for an absent field and for null.

export function objectAt(path: string, field: string, value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw wrongShape(path, field, "an object", value);
}

export function optionalObject(path: string, field: string, value: unknown): JsonObject | undefined {
  return value === undefined || value === null ? undefined : objectAt(path, field, value);
}

export function arrayAt(path: string, field: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw wrongShape(path, field, "an array", value);
}

/** Text that can be written as UTF-8: JSON can also spell half a surrogate pair. */
export function textAt(path: string, field: string, value: unknown): string {
  if (typeof value !== "string") throw wrongShape(path, field, "a string", value);
  if (value.isWellFormed()) return value;
  throw invalidModel(path, `${field} is ${quote(value)}, which is not Unicode text`);
}

export function optionalText(path: string, field: string, value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : textAt(path, field, value);
}

export function optionalFlag(path: string, field: string, value: unknown): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw wrongShape(path, field, "true or false", value);
}

/** A whole number that a token can have: 0 to 2^31 - 1. */
export function tokenIdAt(path: string, field: string, value: unknown): number {
  if (isTokenId(value)) return value;
  throw wrongShape(path, field, "the number of a token", value);
}

export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function wrongShape(path: string, field: string, expected: string, value: unknown): Error {
  return invalidModel(path, `${field} is ${describe(value)} instead of ${expected}`);
}

/** Small values are shown, large ones are not even turned into text. */
function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return JSON.stringify(value);
}
