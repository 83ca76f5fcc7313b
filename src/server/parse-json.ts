import { sniff, SNIFF_BYTES } from "../media/sniff.ts";
import { MullError } from "../spec/errors.ts";
import { findJsonFault } from "./json-fault.ts";

/** What bounds a JSON body beside its size: each is far over what an honest request needs. */
const DEEPEST = 64;
const LONGEST_LIST = 10_000;
const MOST_VALUES = 500_000;

/** Strings that are longer, in characters, may be pictures. */
const SHORTEST_MEDIA = 32 * 1024;

/** What stands under these keys is text for the model, even if it looks like a picture. */
const TEXT_KEYS: ReadonlySet<string> = new Set([
  "content",
  "prompt",
  "text",
  "system",
  "input",
  "instructions",
  "suffix",
  "template",
  "arguments",
  "thinking",
  "reasoning",
  "description",
]);

export interface ParsedJson {
  value: unknown;
  /** Memory of the pictures in `value`, to hand over to another thread. */
  buffers: ArrayBuffer[];
}

/**
 * A JSON body, checked, with its pictures as bytes: base64 `data:` URLs, and base64 of a binary format that `sniff`
 * knows, become `Uint8Array`. Pictures that are not clean base64 stay text, for an error that knows their place.
 *
 * Names "__proto__" are dropped. The last of equal names counts.
 *
 * @throws MullError `invalid_argument`
 */
export function parseJson(body: Uint8Array): ParsedJson {
  const state: State = { buffers: [], values: 0 };
  return { value: tidy(parseText(decodeUtf8(body)), "", 0, state), buffers: state.buffers };
}

interface State {
  buffers: ArrayBuffer[];
  values: number;
}

function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new MullError("invalid_argument", "The body is not JSON: its text is not UTF-8.");
  }
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const fault = findJsonFault(text);
    const place =
      fault === undefined ? "" : `: ${fault.problem} at line ${fault.line}, column ${fault.column}`;
    throw new MullError("invalid_argument", `The body is not JSON${place}.`);
  }
}

/** @param key the nearest name above: a list hands its own on to its items */
function tidy(value: unknown, key: string, depth: number, state: State): unknown {
  if (++state.values > MOST_VALUES) throw tooMuch(`holds more than ${MOST_VALUES} values`);
  if (typeof value === "string") return mediaOf(value, key, state) ?? value;
  if (typeof value !== "object" || value === null) return value;
  if (depth >= DEEPEST) throw tooMuch(`nests deeper than ${DEEPEST} levels`);
  if (Array.isArray(value)) {
    if (value.length > LONGEST_LIST)
      throw tooMuch(`has a list of ${value.length} items; the limit is ${LONGEST_LIST}`);
    for (let index = 0; index < value.length; index++)
      value[index] = tidy(value[index], key, depth + 1, state);
    return value;
  }
  const object = value as Record<string, unknown>;
  // An own property here, but a trap for whoever copies it with an assignment.
  if (Object.hasOwn(object, "__proto__")) delete object["__proto__"];
  const names = Object.keys(object);
  if (names.length > LONGEST_LIST)
    throw tooMuch(`has an object of ${names.length} names; the limit is ${LONGEST_LIST}`);
  for (const name of names) object[name] = tidy(object[name], name, depth + 1, state);
  return object;
}

function mediaOf(text: string, key: string, state: State): Uint8Array | undefined {
  if (text.length <= SHORTEST_MEDIA || TEXT_KEYS.has(key)) return undefined;
  const prefix = /^data:[^,]*;\s*base64,/i.exec(text.slice(0, 256))?.[0];
  if (prefix === undefined && !beginsLikeMedia(text)) return undefined;
  const bytes = decodeBase64(prefix === undefined ? text : text.slice(prefix.length));
  if (bytes !== undefined) state.buffers.push(bytes.buffer);
  return bytes;
}

/** Words, or the letter "a" a million times, are base64 too; but what they stand for is no file. */
function beginsLikeMedia(text: string): boolean {
  const head = Buffer.from(text.slice(0, (SNIFF_BYTES / 3) * 4), "base64");
  const sniffed = sniff(head);
  return sniffed.kind === "picture" || !["text", "unknown", "empty", "html", "xml"].includes(sniffed.format);
}

/**
 * Bytes of base64 in either alphabet of RFC 4648, with or without padding and line breaks.
 *
 * @returns undefined for anything else: Node's decoder would skip what it does not know, without a word
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const characters = text.length - padding;
  const decoded = Buffer.from(new ArrayBuffer(Math.floor((characters * 3) / 4)));
  // Fewer bytes than characters promise: some were not base64.
  if (characters % 4 !== 1 && decoded.write(text, "base64") === decoded.length) {
    return new Uint8Array(decoded.buffer);
  }
  return /[\s]/.test(text) ? decodeBase64(text.replace(/\s+/g, "")) : undefined;
}

function tooMuch(what: string): MullError {
  return new MullError("invalid_argument", `The body ${what}.`);
}
