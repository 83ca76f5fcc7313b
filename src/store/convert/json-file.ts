import { open } from "node:fs/promises";
import { invalidModel, quote } from "../../gguf/invalid-model.ts";
import { MullError } from "../../spec/errors.ts";

/** A JSON object and the file it comes from, for messages. */
export interface JsonFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Indexes of checkpoints of a thousand files have some megabytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Undefined if there is no such file.
 * @throws MullError `invalid_model` for anything but a JSON object
 */
export async function readJsonFile(path: string): Promise<JsonFile | undefined> {
  const text = await readTextFile(path, MOST_BYTES);
  if (text === undefined) return undefined;
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw invalidModel(path, text.trim() === "" ? "the file is empty" : "the file is no JSON");
  }
  if (!isObject(values)) throw invalidModel(path, "the file is no JSON object");
  return { path, values };
}

/**
 * Undefined if there is no such file.
 * @throws MullError `invalid_model` for a file of more bytes
 */
export async function readTextFile(path: string, mostBytes: number): Promise<string | undefined> {
  const handle = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return undefined;
    throw new MullError("model_not_found", `${path} cannot be opened.`, { cause });
  });
  try {
    if (handle === undefined) return undefined;
    const stats = await handle.stat();
    if (!stats.isFile()) throw invalidModel(path, "this is no file");
    if (stats.size > mostBytes) throw invalidModel(path, `${stats.size} bytes are too many for such a file`);
    return await handle.readFile("utf8");
  } finally {
    await handle?.close();
  }
}

// Each of these gives undefined for a key that is absent or null, and throws `invalid_model` for another type.

export function textOf({ path, values }: JsonFile, key: string): string | undefined {
  const value = values[key] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw invalidModel(path, `${quote(key)} is not a string`);
}

export function flagOf({ path, values }: JsonFile, key: string): boolean | undefined {
  const value = values[key] ?? undefined;
  if (value === undefined || typeof value === "boolean") return value;
  throw invalidModel(path, `${quote(key)} is neither true nor false`);
}

/** A finite number above 0. */
export function positiveOf({ path, values }: JsonFile, key: string): number | undefined {
  const value = values[key] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw invalidModel(path, `${quote(key)} is ${shown(value)} instead of a number above 0`);
}

/** A whole number above 0, at most 2^31 - 1. */
export function sizeOf({ path, values }: JsonFile, key: string): number | undefined {
  const value = values[key] ?? undefined;
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31) return value as number;
  throw invalidModel(path, `${quote(key)} is ${shown(value)} instead of a whole number above 0`);
}

export function objectOf({ path, values }: JsonFile, key: string): JsonFile | undefined {
  const value = values[key] ?? undefined;
  if (value === undefined) return undefined;
  if (isObject(value)) return { path, values: value };
  throw invalidModel(path, `${quote(key)} is not an object`);
}

/** Any value of a file, fit for a message. */
export function shown(value: unknown): string {
  return quote(JSON.stringify(value) ?? "nothing");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
