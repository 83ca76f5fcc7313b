import { type Automaton, complement, intersect, isEmpty } from "./automaton.ts";
import { tooComplex } from "./budget.ts";
import { ANY_CHARACTER } from "./code-points.ts";
import { compile } from "./compile.ts";
import { choice, text } from "./expression.ts";
import { literal } from "./grammar-text.ts";
import { jsonRule } from "./json-rules.ts";
import type { ObjectShape } from "./shape.ts";
import { writeString } from "./write-automaton.ts";
import type { ShapeWriter } from "./shape-writer.ts";

/** While a name is written, llama.cpp keeps a stack for every property that it may become. */
const MOST_OPTIONAL = 500;

/**
 * `{`, the properties in the order of the schema, then others, and `}`. What may come next depends only on the place
 * in that order, so there is one rule for each place after an optional property.
 */
export function writeObject(shape: ObjectShape, writer: ShapeWriter): string {
  const { grammar, ruleOf } = writer;
  const ws = jsonRule(grammar, "ws");
  const comma = `"," ${ws}`;
  if (shape.properties.size - shape.required.size > MOST_OPTIONAL) {
    throw tooComplex(`an object has more than ${MOST_OPTIONAL} optional properties`);
  }
  // Members from a place on, at least one; undefined: there can be none.
  let members = writeAdditional(shape, writer);
  let mayEnd = true;
  for (const [name, node] of [...shape.properties].reverse()) {
    if (node === false) continue;
    const own = `${literal(`${JSON.stringify(name)}:`)} " "? ${ruleOf(node)}`;
    const isOptional = !shape.required.has(name);
    // Written twice, or with alternatives, it becomes a rule.
    if (members !== undefined && (isOptional || mayEnd)) members = grammar.define(members);
    const after = members === undefined ? "" : mayEnd ? ` ( ${comma} ${members} )?` : ` ${comma} ${members}`;
    members = isOptional && members !== undefined ? `${own}${after} | ${members}` : own + after;
    if (isOptional && !mayEnd) members = grammar.define(members);
    mayEnd &&= isOptional;
  }
  if (members === undefined) return `"{" ${ws} "}"`;
  if (members.includes("|")) members = grammar.define(members);
  return mayEnd && shape.minProperties === 0
    ? `"{" ${ws} ( ${members} ${ws} )? "}"`
    : `"{" ${ws} ${members} ${ws} "}"`;
}

/** One or more properties that are not described. */
function writeAdditional(shape: ObjectShape, writer: ShapeWriter): string | undefined {
  const { grammar, ruleOf } = writer;
  const left = shape.maxProperties - [...shape.properties.values()].filter((node) => node !== false).length;
  if (shape.additional === false || left <= 0) return undefined;
  const names = otherNames(shape, writer);
  if (names !== undefined && isEmpty(names)) return undefined;
  const name = names === undefined ? jsonRule(grammar, "string") : writeString(grammar, names);
  const member = grammar.define(`${name} ":" " "? ${ruleOf(shape.additional)}`);
  const another = grammar.define(`"," ${jsonRule(grammar, "ws")} ${member}`);
  return `${member} ${grammar.repeat(another, 0, left - 1)}`;
}

/** Names that properties which are not described may have; undefined: any. */
function otherNames(shape: ObjectShape, { budget }: ShapeWriter): Automaton | undefined {
  if (shape.properties.size === 0) return shape.names;
  const described = compile(choice(...[...shape.properties.keys()].map(text)), budget);
  const others = complement(described, ANY_CHARACTER, budget);
  return shape.names === undefined ? others : intersect(others, shape.names, budget);
}
