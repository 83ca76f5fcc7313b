import type { Budget } from "./budget.ts";
import { compile, union } from "./compile.ts";
import { type Expression, text } from "./expression.ts";
import { type GrammarText, literal } from "./grammar-text.ts";
import { jsonRule } from "./json-rules.ts";
import { integerBounds, integersBetween, numbersBetween } from "./number-language.ts";
import type { SchemaGraph } from "./schema-graph.ts";
import type { ShapeWriter } from "./shape-writer.ts";
import type { ArrayShape, Node, NumberShape, ObjectShape, Shape } from "./shape.ts";
import { isFree, stringsAutomaton } from "./string-language.ts";
import { writeString, writeText } from "./write-automaton.ts";
import { writeArray } from "./write-array.ts";
import { writeObject } from "./write-object.ts";

/** More values than this become an automaton, which needs one stack where alternatives need one each. */
const FEW_LITERALS = 12;

/** Writes rules for nodes and all that they need. @returns the rules' names, in the order of the nodes */
export function writeShapes(
  grammar: GrammarText,
  graph: SchemaGraph,
  nodes: readonly Node[],
  budget: Budget,
): string[] {
  const names = new Map<Node, string>();
  const writer: ShapeWriter = {
    grammar,
    budget,
    ruleOf: (node) => {
      const known = names.get(node);
      if (known !== undefined) return known;
      const name =
        node.places.length === 0 ? jsonRule(grammar, "value") : (simpleRule(node) ?? grammar.reserve());
      names.set(node, name);
      return name;
    },
  };
  /** Nodes without children need no rule of their own: those that look alike share one. */
  const simpleRule = (node: Node): string | undefined => {
    const shapes = graph.get(node) as readonly Shape[];
    if (shapes.some((shape) => (shape.kind === "array" || shape.kind === "object") && !isAny(shape)))
      return undefined;
    const body = writeAlternatives(shapes, writer);
    return /^[a-z0-9-]+$/.test(body) ? body : grammar.define(body);
  };
  const result = nodes.map(writer.ruleOf);
  // The map grows while it is walked through.
  for (const [node, name] of names) {
    if (node.places.length > 0 && grammar.isReserved(name)) {
      grammar.set(name, writeAlternatives(graph.get(node) as readonly Shape[], writer));
    }
  }
  return result;
}

function writeAlternatives(shapes: readonly Shape[], writer: ShapeWriter): string {
  const alternatives = new Set<string>();
  for (const shape of shapes) {
    if (shape.kind === "object") {
      alternatives.add(isAny(shape) ? jsonRule(writer.grammar, "object") : writeObject(shape, writer));
    } else if (shape.kind === "array") {
      alternatives.add(isAny(shape) ? jsonRule(writer.grammar, "array") : writeArray(shape, writer));
    } else if (
      shape.kind === "literal" &&
      typeof shape.value !== "string" &&
      typeof shape.value !== "number"
    ) {
      alternatives.add(writeValue(shape.value, writer));
    }
  }
  for (const alternative of [...writeStrings(shapes, writer), ...writeNumbers(shapes, writer)]) {
    alternatives.add(alternative);
  }
  return [...alternatives].join(" | ");
}

function isAny(shape: ArrayShape | ObjectShape): boolean {
  const isAnyNode = (node: Node | false): boolean => node !== false && node.places.length === 0;
  if (shape.kind === "array") {
    const { prefix, items, minItems, maxItems } = shape;
    return prefix.length === 0 && isAnyNode(items) && (minItems ?? 0) === 0 && maxItems === Infinity;
  }
  const { properties, additional, names, minProperties, maxProperties } = shape;
  const counted = minProperties > 0 || maxProperties < Infinity;
  return properties.size === 0 && isAnyNode(additional) && names === undefined && !counted;
}

/** A value as JSON, with room for white space where a model may want it. */
function writeValue(value: unknown, writer: ShapeWriter): string {
  if (typeof value !== "object" || value === null) return literal(JSON.stringify(value));
  const ws = jsonRule(writer.grammar, "ws");
  const members = Array.isArray(value)
    ? value.map((item) => writeValue(item, writer))
    : Object.entries(value).map(
        ([name, item]) => `${literal(`${JSON.stringify(name)}:`)} " "? ${writeValue(item, writer)}`,
      );
  const [open, close] = Array.isArray(value) ? ['"["', '"]"'] : ['"{"', '"}"'];
  if (members.length === 0) return `${open} ${ws} ${close}`;
  return `${open} ${ws} ${members.join(` "," ${ws} `)} ${ws} ${close}`;
}

function writeStrings(shapes: readonly Shape[], { grammar, budget }: ShapeWriter): string[] {
  const strings = shapes.filter((shape) => shape.kind === "string");
  if (strings.some(isFree)) return [jsonRule(grammar, "string")];
  const measured = strings.filter(({ automaton }) => automaton === undefined);
  const alternatives = measured.map(({ minLength, maxLength }) => {
    const letters = grammar.repeatCharacter(jsonRule(grammar, "char"), minLength, maxLength);
    return `${literal('"')} ${letters} ${literal('"')}`;
  });
  const literals = shapes.filter((shape) => shape.kind === "literal" && typeof shape.value === "string");
  const automata = strings.filter(({ automaton }) => automaton !== undefined);
  if (automata.length === 0 && literals.length <= FEW_LITERALS) {
    return [...alternatives, ...literals.map((shape) => literal(JSON.stringify(valueOf(shape))))];
  }
  const automaton = stringsAutomaton([...automata, ...literals], budget);
  return automaton === undefined ? alternatives : [...alternatives, writeString(grammar, automaton)];
}

function writeNumbers(shapes: readonly Shape[], { grammar, budget }: ShapeWriter): string[] {
  const numbers = shapes.filter((shape) => shape.kind === "number");
  const literals = shapes.map(valueOf).filter((value) => typeof value === "number");
  const isUnlimited = ({ min, max }: NumberShape): boolean => min === undefined && max === undefined;
  if (numbers.some((shape) => isUnlimited(shape) && !shape.integer)) return [jsonRule(grammar, "number")];
  if (
    numbers.some(isUnlimited) &&
    numbers.every(({ integer }) => integer) &&
    literals.every(Number.isInteger)
  ) {
    return [jsonRule(grammar, "integer")];
  }
  if (numbers.length === 0 && literals.length <= FEW_LITERALS) {
    return literals.map((value) => literal(JSON.stringify(value)));
  }
  const written: Expression[] = literals.map((value) => text(JSON.stringify(value)));
  const automata = numbers.map(({ integer, min, max }) => {
    if (!integer) return numbersBetween(min, max, budget);
    const bounds = integerBounds(min, max);
    return compile(integersBetween(bounds.min, bounds.max), budget);
  });
  automata.push(...written.map((expression) => compile(expression, budget)));
  return [writeText(grammar, union(automata, budget))];
}

function valueOf(shape: Shape): unknown {
  return shape.kind === "literal" ? shape.value : undefined;
}
