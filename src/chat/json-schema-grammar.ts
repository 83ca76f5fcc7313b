import type { JsonSchema } from "../spec/tool.ts";
import { requireFewWays } from "./grammar/ambiguity.ts";
import { GrammarText } from "./grammar/grammar-text.ts";
import { schemaGraph } from "./grammar/schema-graph.ts";
import { SchemaReader } from "./grammar/schema-reader.ts";
import { writeShapes } from "./grammar/write-shapes.ts";

/**
 * A JSON Schema (draft 2020-12, and what older drafts say otherwise about tuples) as a grammar for llama.cpp (GBNF)
 * with the rule `root`. Every text that it accepts is JSON that fits the schema. It accepts less than all of them:
 *
 * - properties stand in the order of the schema; optional ones may be left out;
 * - properties and items that the schema does not describe are written only where `additionalProperties` or `items`
 *   says what they are (or where it does not even say that there are none);
 * - values of types that the schema does not speak of are not written;
 * - white space is bounded; numbers have at most 16 digits before the point, and where there are limits no exponent;
 * - strings with a pattern, format or list of values are spelled as `JSON.stringify` does.
 *
 * Enforced: type, enum, const, properties, required, additionalProperties, propertyNames, min- and maxProperties as far
 * as the required ones settle them, items, prefixItems, minItems, maxItems, minLength, maxLength, pattern (what is
 * regular of ECMAScript's), format (date, time, date-time, uuid), minimum, maximum and their exclusive forms, anyOf,
 * oneOf (of alternatives that exclude each other), allOf, $ref within the schema, also recursive, true and false.
 * Annotations and unknown keywords are ignored.
 *
 * @throws MullError `invalid_argument` that names the keyword and its place for everything else that restricts values,
 *   for schemas that no value fits, and for those whose grammar would be too large or too ambiguous to work with
 */
export function jsonSchemaToGrammar(schema: JsonSchema): string {
  const grammar = new GrammarText();
  const [root] = schemaRules(grammar, [{ schema }]) as [string];
  grammar.set("root", root);
  return grammar.toString();
}

export interface SchemaSource {
  schema: JsonSchema;
  /** What messages call it. */
  name?: string;
  /** Whether only objects will do, whatever the schema says. */
  mustBeObject?: boolean;
}

/** Adds the rules of some schemas to a grammar. @returns their names, in the same order */
export function schemaRules(grammar: GrammarText, sources: readonly SchemaSource[]): string[] {
  const reader = new SchemaReader();
  const anyObject = reader.read({ type: "object" });
  const nodes = sources.map(({ schema, name, mustBeObject }) => {
    const node = reader.read(schema, name);
    return mustBeObject === true ? reader.narrow(node, anyObject) : node;
  });
  const graph = schemaGraph(reader, nodes);
  requireFewWays(graph);
  return writeShapes(grammar, graph, nodes, reader.budget);
}

/** Any JSON object. */
export const JSON_GRAMMAR: string = jsonSchemaToGrammar({ type: "object" });
