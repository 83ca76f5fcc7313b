/**
 * Go's values, as far as templates see them: undefined is nil, a bigint an int, a number a float64.
 */
export type GoValue = undefined | boolean | bigint | number | string | GoList | GoMap | GoStruct;

interface Described {
  /** Go's name of the type, for messages. */
  type: string;
  /** Its String() method: what printing it gives. */
  text?: () => string;
}

/** A slice. */
export interface GoList extends Described {
  kind: "list";
  items: readonly GoValue[];
  /** A slice without elements that was never made is `null` in JSON. */
  isNil?: boolean;
  /** Whether a single item stands in JSON without brackets. */
  unwraps?: boolean;
}

export interface GoMap extends Described {
  kind: "map";
  entries: ReadonlyMap<string, GoValue>;
  /** What a key that is not there gives. */
  zero?: GoValue;
  /** JSON in the order of the entries; else, as Go does with maps, sorted by key. */
  ordered?: boolean;
}

export interface GoStruct extends Described {
  kind: "struct";
  fields: ReadonlyMap<string, GoValue>;
  /** Fields in JSON, in order: name there, and whether an empty one is left out. */
  json: readonly (readonly [field: string, name: string, omitsEmpty?: boolean])[];
}

export function goList(items: readonly GoValue[], type = "[]interface {}"): GoList {
  return { kind: "list", type, items };
}

export function goMap(
  entries: Iterable<readonly [string, GoValue]>,
  type = "map[string]interface {}",
): GoMap {
  return { kind: "map", type, entries: new Map(entries) };
}

/** JSON as Go decodes it into an `any`. */
export function goValueOf(value: unknown): GoValue {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return goList(value.map(goValueOf));
  return goMap(Object.entries(value).map(([key, item]) => [key, goValueOf(item)]));
}

/** Keys in the order in which Go's range and print go through a map. */
export function sortedKeys(map: GoMap): string[] {
  return [...map.entries.keys()].sort(compareStrings);
}

/** By bytes of UTF-8, which is by code points. */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let place = 0; place < length; place++) {
    const left = a.charCodeAt(place);
    const right = b.charCodeAt(place);
    if (left === right) continue;
    // Surrogates stand for code points above all others.
    const [leftHigh, rightHigh] = [isSurrogate(left), isSurrogate(right)];
    return leftHigh === rightHigh ? left - right : leftHigh ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

export function typeName(value: GoValue): string {
  if (value === undefined) return "<nil>";
  if (typeof value === "object") return value.type;
  return typeof value === "boolean"
    ? "bool"
    : typeof value === "bigint"
      ? "int"
      : typeof value === "number"
        ? "float64"
        : "string";
}

/** Empty is false; a struct is always true. */
export function isTrue(value: GoValue): boolean {
  if (typeof value !== "object") return Boolean(value);
  if (value.kind === "struct") return true;
  return value.kind === "list" ? value.items.length > 0 : value.entries.size > 0;
}
