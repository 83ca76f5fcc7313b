import { randomBytes } from "node:crypto";
import type { ToolCall } from "../spec/tool.ts";

/** By then a call has named its first property. */
const LONGEST_HEAD = 100;
const CALL_KEYS = new Set(["id", "type", "name", "function", "arguments", "parameters"]);

/**
 * Tool calls from the JSON that a model wrote: one call or a list, with the names that models use for their parts.
 *
 * @param strict whether there must be arguments and nothing that a call does not have: for JSON that no tag calls a call
 * @returns undefined when it is something else
 */
export function readCalls(json: string, strict: boolean): ToolCall[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const calls = (Array.isArray(value) ? value : [value]).map((item) => readCall(item, strict));
  const found = calls.flatMap((call) => call ?? []);
  return found.length > 0 && found.length === calls.length ? found : undefined;
}

export function toolCall(name: string, given: ToolCall["arguments"]): ToolCall {
  return { id: `call_${randomBytes(6).toString("hex")}`, name, arguments: given };
}

/** The arguments of a call, from JSON; undefined when they are no object. */
export function readArguments(json: string): ToolCall["arguments"] | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readCall(value: unknown, strict: boolean): ToolCall | undefined {
  if (!isObject(value)) return undefined;
  if (strict && !Object.keys(value).every((key) => CALL_KEYS.has(key))) return undefined;
  const inner = isObject(value["function"]) ? value["function"] : value;
  const name = inner["name"] ?? value["function"];
  const given = inner["arguments"] ?? inner["parameters"];
  if (typeof name !== "string" || name === "") return undefined;
  if (given === undefined || given === null) return strict ? undefined : toolCall(name, {});
  const read = typeof given === "string" ? readArguments(given) : given;
  return isObject(read) ? toolCall(name, read) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether JSON that has only begun may become a call: by the name of its first property. */
export function mayBeCall(pieces: readonly string[]): boolean {
  const head = pieces.length > LONGEST_HEAD ? undefined : pieces.join("");
  if (head === undefined) return true;
  const key = /^\{\s*"([^"\\]*)"/.exec(head)?.[1];
  return key === undefined ? head.length < LONGEST_HEAD : CALL_KEYS.has(key);
}
