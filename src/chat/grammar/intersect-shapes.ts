import { accepts, intersect as intersectAutomata, isEmpty } from "./automaton.ts";
import type { Automaton } from "./automaton.ts";
import { type Bound, compareDecimals, integerBounds, toDecimal } from "./number-language.ts";
import { withLength } from "./string-language.ts";
import type {
  ArrayShape,
  Node,
  NumberShape,
  ObjectShape,
  Shape,
  ShapeContext,
  StringShape,
} from "./shape.ts";

/** What two shapes have in common; undefined: nothing. */
export function intersectShapes(a: Shape, b: Shape, context: ShapeContext): Shape | undefined {
  context.budget.spend(20);
  if (a === b) return a;
  const implicit = a.implicit && b.implicit;
  if (a.kind === "literal") return fits(a.value, b, context) ? { ...a, implicit } : undefined;
  if (b.kind === "literal") return fits(b.value, a, context) ? { ...b, implicit } : undefined;
  if (a.kind === "number" && b.kind === "number") return intersectNumbers(a, b, implicit);
  if (a.kind === "string" && b.kind === "string") return intersectStrings(a, b, implicit, context);
  if (a.kind === "array" && b.kind === "array") return intersectArrays(a, b, implicit, context);
  if (a.kind === "object" && b.kind === "object") return intersectObjects(a, b, implicit, context);
  return undefined;
}

/** Whether a JSON value fits a shape. */
export function fits(value: unknown, shape: Shape, context: ShapeContext): boolean {
  context.budget.spend(10);
  switch (shape.kind) {
    case "literal":
      return isSameValue(value, shape.value);
    case "number":
      return typeof value === "number" && numberFits(value, shape);
    case "string": {
      if (typeof value !== "string") return false;
      const length = Array.from(value).length;
      if (length < shape.minLength || length > shape.maxLength) return false;
      return shape.automaton === undefined || accepts(shape.automaton, value);
    }
    case "array":
      return (
        Array.isArray(value) &&
        value.length >= (shape.minItems ?? 0) &&
        value.length <= shape.maxItems &&
        value.every((item, place) => nodeFits(item, itemAt(shape, place), context))
      );
    default: {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
      const names = Object.keys(value);
      return (
        names.length >= shape.minProperties &&
        names.length <= shape.maxProperties &&
        [...shape.required].every((name) => Object.hasOwn(value, name)) &&
        Object.entries(value).every(
          ([name, item]) =>
            (shape.names === undefined || accepts(shape.names, name)) &&
            nodeFits(item, propertyOf(shape, name), context),
        )
      );
    }
  }
}

/** The same JSON value: order of properties does not count. */
export function isSameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), b as Record<string, unknown>];
  return (
    left.length === Object.keys(right).length &&
    left.every(([name, value]) => Object.hasOwn(right, name) && isSameValue(value, right[name]))
  );
}

export function itemAt(shape: ArrayShape, place: number): Node | false {
  return shape.prefix[place] ?? (place < shape.prefix.length ? false : shape.items);
}

export function propertyOf(shape: ObjectShape, name: string): Node | false {
  return shape.properties.get(name) ?? (shape.properties.has(name) ? false : shape.additional);
}

function nodeFits(value: unknown, node: Node | false, context: ShapeContext): boolean {
  return node !== false && context.shapesOf(node).some((shape) => fits(value, shape, context));
}

function numberFits(value: number, { integer, min, max }: NumberShape): boolean {
  if (integer && !Number.isInteger(value)) return false;
  const decimal = toDecimal(value);
  if (decimal === undefined) return min === undefined && max === undefined;
  const above = min === undefined ? 1 : compareDecimals(decimal, min.decimal);
  const below = max === undefined ? 1 : compareDecimals(max.decimal, decimal);
  return (
    (min?.exclusive === true ? above > 0 : above >= 0) && (max?.exclusive === true ? below > 0 : below >= 0)
  );
}

function intersectNumbers(a: NumberShape, b: NumberShape, implicit: boolean): NumberShape | undefined {
  const shape: NumberShape = {
    kind: "number",
    implicit,
    integer: a.integer || b.integer,
    min: tighter(a.min, b.min, 1),
    max: tighter(a.max, b.max, -1),
  };
  return hasNumber(shape) ? shape : undefined;
}

/** @param sign 1 for lower limits, -1 for upper ones */
export function tighter(a: Bound | undefined, b: Bound | undefined, sign: number): Bound | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const order = sign * compareDecimals(a.decimal, b.decimal);
  if (order === 0) return a.exclusive ? a : b;
  return order > 0 ? a : b;
}

export function hasNumber({ integer, min, max }: NumberShape): boolean {
  if (min === undefined || max === undefined) return true;
  if (integer) {
    const bounds = integerBounds(min, max);
    return (bounds.min as bigint) <= (bounds.max as bigint);
  }
  const order = compareDecimals(min.decimal, max.decimal);
  return order < 0 || (order === 0 && !min.exclusive && !max.exclusive);
}

export function intersectStrings(
  a: StringShape,
  b: StringShape,
  implicit: boolean,
  context: ShapeContext,
): StringShape | undefined {
  const minLength = Math.max(a.minLength, b.minLength);
  const maxLength = Math.min(a.maxLength, b.maxLength);
  const automaton = bothAutomata(a.automaton, b.automaton, context);
  if (minLength > maxLength) return undefined;
  const shape = withLength({ kind: "string", implicit, minLength, maxLength, automaton }, context.budget);
  return shape.automaton !== undefined && isEmpty(shape.automaton) ? undefined : shape;
}

function bothAutomata(
  a: Automaton | undefined,
  b: Automaton | undefined,
  context: ShapeContext,
): Automaton | undefined {
  if (a === undefined || b === undefined || a === b) return a ?? b;
  return intersectAutomata(a, b, context.budget);
}

function intersectArrays(
  a: ArrayShape,
  b: ArrayShape,
  implicit: boolean,
  context: ShapeContext,
): ArrayShape | undefined {
  const length = Math.max(a.prefix.length, b.prefix.length);
  const minItems = a.minItems === undefined ? b.minItems : Math.max(a.minItems, b.minItems ?? 0);
  const maxItems = Math.min(a.maxItems, b.maxItems);
  if ((minItems ?? 0) > maxItems) return undefined;
  return {
    kind: "array",
    implicit,
    prefix: Array.from({ length }, (_, place) => context.both(itemAt(a, place), itemAt(b, place))),
    items: context.both(a.items, b.items),
    itemsStated: a.itemsStated || b.itemsStated,
    minItems,
    maxItems,
  };
}

function intersectObjects(
  a: ObjectShape,
  b: ObjectShape,
  implicit: boolean,
  context: ShapeContext,
): ObjectShape | undefined {
  const names = new Set([...a.properties.keys(), ...b.properties.keys()]);
  context.budget.spend(names.size);
  const properties = new Map<string, Node | false>();
  for (const name of names) properties.set(name, context.both(propertyOf(a, name), propertyOf(b, name)));
  const minProperties = Math.max(a.minProperties, b.minProperties);
  const maxProperties = Math.min(a.maxProperties, b.maxProperties);
  if (minProperties > maxProperties) return undefined;
  return {
    kind: "object",
    implicit,
    properties,
    propertiesStated: a.propertiesStated || b.propertiesStated,
    required: new Set([...a.required, ...b.required]),
    additional: context.both(a.additional, b.additional),
    additionalStated: a.additionalStated || b.additionalStated,
    names: bothAutomata(a.names, b.names, context),
    minProperties,
    maxProperties,
  };
}

/** Whether no value fits, as far as that shows `depth` levels deep. */
export function isSurelyEmpty(shape: Shape, context: ShapeContext, depth: number): boolean {
  context.budget.spend(10);
  const emptyNode = (node: Node | false): boolean =>
    node === false ||
    (depth > 0 && context.shapesOf(node).every((inner) => isSurelyEmpty(inner, context, depth - 1)));
  if (shape.kind === "object") {
    return [...shape.required].some(
      (name) =>
        (shape.names !== undefined && !accepts(shape.names, name)) || emptyNode(propertyOf(shape, name)),
    );
  }
  if (shape.kind === "array") {
    const needed = Math.min(shape.minItems ?? 0, shape.prefix.length + 1);
    return Array.from({ length: needed }, (_, place) => itemAt(shape, place)).some(emptyNode);
  }
  return false;
}
