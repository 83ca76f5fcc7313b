import { accepts } from "./automaton.ts";
import { propertyOf } from "./intersect-shapes.ts";
import { schemaError } from "./schema-error.ts";
import type { ArrayShape, Node, ObjectShape, Shape } from "./shape.ts";

/**
 * What a schema means for a model that writes: kinds of values that it does not speak of are left out, and so are
 * properties and items that it does not describe, unless it says what they are. That is less than JSON Schema allows,
 * never more.
 */
export function settleShapes(shapes: readonly Shape[], pointer: string): Shape[] {
  return stated(shapes).flatMap((shape): Shape[] => {
    if (shape.kind === "object") return settleObject(shape, pointer);
    return [shape.kind === "array" ? settleArray(shape) : shape];
  });
}

/** Without the kinds of values that nothing speaks of, if something speaks of others. */
export function stated(shapes: readonly Shape[]): readonly Shape[] {
  const explicit = shapes.filter(({ implicit }) => !implicit);
  return explicit.length > 0 ? explicit : shapes;
}

export function settleArray(shape: ArrayShape): ArrayShape {
  const { prefix, itemsStated, maxItems } = shape;
  if (itemsStated || prefix.length === 0) return shape;
  return { ...shape, items: false, minItems: shape.minItems ?? Math.min(prefix.length, maxItems) };
}

/** All required properties are described then, and can be written. */
function settleObject(shape: ObjectShape, pointer: string): ObjectShape[] {
  const properties = new Map<string, Node | false>();
  for (const name of new Set([...shape.properties.keys(), ...shape.required])) {
    const allowed = shape.names === undefined || accepts(shape.names, name);
    const node = allowed && propertyOf(shape, name);
    if (node === false && shape.required.has(name)) return [];
    properties.set(name, node);
  }
  const described = shape.propertiesStated || properties.size > 0;
  const additional = shape.additionalStated || !described ? shape.additional : false;
  const { minProperties, maxProperties, required } = shape;
  if (minProperties > Math.max(required.size, 1)) {
    throw schemaError(
      "minProperties",
      pointer,
      "is more than the required properties and cannot be enforced",
    );
  }
  if (maxProperties === 0) {
    return required.size > 0 ? [] : [{ ...shape, properties: new Map(), additional: false }];
  }
  if (maxProperties < [...properties.values()].filter((node) => node !== false).length) {
    throw schemaError("maxProperties", pointer, "is less than the properties and cannot be enforced");
  }
  return [{ ...shape, properties, additional }];
}
