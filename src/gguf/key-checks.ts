import type { Gguf } from "./gguf.ts";
import { invalidModel, quote } from "./invalid-model.ts";

/** A whole number within limits that must be there. */
export function requireInteger(gguf: Gguf, key: string, least: number, most: number): number {
  gguf.requireNumber(key);
  return optionalInteger(gguf, key, least, most) ?? least;
}

/** A whole number within limits, or undefined if the key is absent. */
export function optionalInteger(gguf: Gguf, key: string, least: number, most: number): number | undefined {
  const value = gguf.number(key);
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalidModel(
    gguf.path,
    `${quote(key)} is ${value} instead of a whole number from ${least} to ${most}`,
  );
}

/** A finite number above 0, or undefined if the key is absent. */
export function optionalPositive(gguf: Gguf, key: string): number | undefined {
  const value = gguf.number(key);
  if (value === undefined || (Number.isFinite(value) && value > 0)) return value;
  throw invalidModel(gguf.path, `${quote(key)} is ${value} instead of a number above 0`);
}

export function requirePositive(gguf: Gguf, key: string): number {
  gguf.requireNumber(key);
  return optionalPositive(gguf, key) ?? 0;
}

/**
 * @param shape lengths in ggml order; undefined where any length will do
 * @param reason what the shape follows from, for the message
 */
export function checkShape(
  gguf: Gguf,
  name: string,
  shape: readonly (number | undefined)[],
  reason: string,
): void {
  const { shape: actual } = gguf.requireTensor(name);
  const matches =
    actual.length === shape.length && shape.every((length, i) => (length ?? actual[i]) === actual[i]);
  if (matches) return;
  const wanted = shape.map((length) => length ?? "any").join(", ");
  throw invalidModel(
    gguf.path,
    `tensor ${quote(name)} has shape [${actual.join(", ")}] instead of [${wanted}]: ${reason}`,
  );
}
