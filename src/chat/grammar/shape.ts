import type { JsonSchema } from "../../spec/tool.ts";
import type { Automaton } from "./automaton.ts";
import type { Budget } from "./budget.ts";
import type { Bound } from "./number-language.ts";

/** A schema where it stands. Two with the same pointer in the same document are one object. */
export interface Place {
  id: number;
  schema: JsonSchema;
  /** Such as `#/properties/name`. */
  pointer: string;
  /** The whole schema that local references are resolved in. */
  document: JsonSchema;
}

/** The values that fit all of some schemas; those that fit none are any values. Same places, same object. */
export interface Node {
  places: readonly Place[];
}

/**
 * One way in which a value can fit. A schema is read into alternatives of these, and `allOf` is what two of them have
 * in common. `implicit`: nothing in the schema speaks of values of this kind, it only does not forbid them.
 */
export type Shape = LiteralShape | NumberShape | StringShape | ArrayShape | ObjectShape;

export interface LiteralShape {
  kind: "literal";
  implicit: boolean;
  value: unknown;
}

export interface NumberShape {
  kind: "number";
  implicit: boolean;
  integer: boolean;
  min: Bound | undefined;
  max: Bound | undefined;
}

export interface StringShape {
  kind: "string";
  implicit: boolean;
  /** In code points; 0 and Infinity beside an automaton, which counts them itself. */
  minLength: number;
  maxLength: number;
  automaton: Automaton | undefined;
}

export interface ArrayShape {
  kind: "array";
  implicit: boolean;
  /** The first items; false: there can be none at this place. */
  prefix: readonly (Node | false)[];
  /** The items after them. */
  items: Node | false;
  /** Whether the schema says what they are. */
  itemsStated: boolean;
  minItems: number | undefined;
  maxItems: number;
}

export interface ObjectShape {
  kind: "object";
  implicit: boolean;
  /** In the order of the schema; false: there must be none of that name. */
  properties: ReadonlyMap<string, Node | false>;
  /** Whether the schema says which there are, be it none. */
  propertiesStated: boolean;
  required: ReadonlySet<string>;
  /** All other properties. */
  additional: Node | false;
  /** Whether the schema says what they are. */
  additionalStated: boolean;
  /** Names that properties may have, where the schema restricts them. */
  names: Automaton | undefined;
  minProperties: number;
  maxProperties: number;
}

/** What operations on shapes need of the reader. */
export interface ShapeContext {
  budget: Budget;
  /** What fits both nodes. */
  both: (a: Node | false, b: Node | false) => Node | false;
  shapesOf: (node: Node) => readonly Shape[];
}
