import type { JsonSchema } from "../../spec/tool.ts";
import { tooComplex } from "./budget.ts";
import { schemaError } from "./schema-error.ts";
import type { Node, Place } from "./shape.ts";

const MOST_PLACES = 10_000;
const MOST_NODES = 5_000;
/** Keywords that say nothing about which values fit. A schema of these alone lets everything through. */
const ANNOTATIONS = new Set(
  "$schema $id $anchor $comment $defs definitions title description default examples deprecated readOnly writeOnly".split(
    " ",
  ),
);

/** Hands out places and nodes, each once, and follows local references. */
export class SchemaDocument {
  readonly #places = new Map<JsonSchema, Map<string, Place>>();
  readonly #nodes = new Map<string, Node>();
  #count = 0;

  root(document: JsonSchema, name = ""): Place {
    return this.#place(document, `${name}#`, document);
  }

  /** A schema inside another, under these keys. */
  inside(place: Place, ...keys: readonly (string | number)[]): Place {
    let value: unknown = place.schema;
    for (const key of keys) value = (value as Record<string | number, unknown>)[key];
    const pointer = [place.pointer, ...keys.map((key) => escapeKey(String(key)))].join("/");
    return this.#place(place.document, pointer, value, String(keys[0]));
  }

  /** What a `$ref` at a place refers to. */
  follow(place: Place, reference: unknown): Place {
    const refuse = (why: string): never => {
      throw schemaError("$ref", place.pointer, why);
    };
    if (typeof reference !== "string") return refuse("is no string");
    if (!/^#(\/|$)/.test(reference))
      return refuse(`refers to ${reference}: only references like #/$defs/name work`);
    let value: unknown = place.document;
    let pointer = place.pointer.slice(0, place.pointer.indexOf("#") + 1);
    for (const part of reference.split("/").slice(1)) {
      const key = unescapeKey(part);
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) {
        return refuse(`refers to ${reference}, which does not exist`);
      }
      value = (value as Record<string, unknown>)[key];
      pointer += `/${escapeKey(key)}`;
    }
    return this.#place(place.document, pointer, value, "$ref");
  }

  /** The node of values that fit all these places. */
  node(places: readonly Place[]): Node {
    const restricting = new Map(places.filter(restricts).map((place) => [place.id, place]));
    const sorted = [...restricting.values()].sort((a, b) => a.id - b.id);
    const key = sorted.map(({ id }) => id).join(",");
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node: Node = { places: sorted };
    this.#nodes.set(key, node);
    if (this.#nodes.size > MOST_NODES) throw tooComplex(`it has more than ${MOST_NODES} parts`);
    return node;
  }

  #place(document: JsonSchema, pointer: string, schema: unknown, keyword = "schema"): Place {
    let places = this.#places.get(document);
    if (places === undefined) this.#places.set(document, (places = new Map()));
    const known = places.get(pointer);
    if (known !== undefined) return known;
    if (
      typeof schema !== "boolean" &&
      (typeof schema !== "object" || schema === null || Array.isArray(schema))
    ) {
      throw schemaError(keyword, pointer, "is neither an object nor true or false");
    }
    const place: Place = { id: this.#count++, schema: schema as JsonSchema, pointer, document };
    if (this.#count > MOST_PLACES) throw tooComplex(`it has more than ${MOST_PLACES} parts`);
    places.set(pointer, place);
    return place;
  }
}

function restricts({ schema }: Place): boolean {
  return typeof schema === "boolean"
    ? !schema
    : Object.keys(schema).some((keyword) => !ANNOTATIONS.has(keyword));
}

function escapeKey(key: string): string {
  return key.replace(/~/g, "~0").replace(/\//g, "~1");
}

function unescapeKey(part: string): string {
  let key = part;
  try {
    key = decodeURIComponent(part);
  } catch {
    // A lone percent sign is itself.
  }
  return key.replace(/~1/g, "/").replace(/~0/g, "~");
}
