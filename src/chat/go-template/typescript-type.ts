import { goPrint } from "./go-print.ts";
import type { GoValue } from "./go-value.ts";

const TYPES: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  array: "any[]",
  object: "Record<string, any>",
  null: "null",
};

/** Ollama's `toTypeScriptType`: the type of a tool's parameter as TypeScript writes it. */
export function typeScriptType(property: GoValue): string {
  if (typeof property !== "object" || property.kind !== "struct" || property.type !== "api.ToolProperty")
    return "any";
  const anyOf = itemsOf(property.fields.get("AnyOf"));
  if (anyOf.length > 0) return anyOf.map(typeScriptType).join(" | ");
  const types = itemsOf(property.fields.get("Type"));
  return types.length === 0 ? "any" : types.map((type) => TYPES[goPrint(type)] ?? "any").join(" | ");
}

function itemsOf(value: GoValue): readonly GoValue[] {
  return typeof value === "object" && value.kind === "list" ? value.items : [];
}
