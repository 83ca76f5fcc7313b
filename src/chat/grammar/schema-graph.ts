import { tooComplex } from "./budget.ts";
import { type SchemaReader, pointerOf } from "./schema-reader.ts";
import { unsatisfiable } from "./schema-error.ts";
import type { ArrayShape, Node, ObjectShape, Shape } from "./shape.ts";

const MOST_SHAPES = 20_000;

/** What may be written for each node that a schema needs: only what can be finished. */
export type SchemaGraph = ReadonlyMap<Node, readonly Shape[]>;

/**
 * Collects the nodes that can be reached from some, and takes out what has no finite value: an object that must contain
 * another of its kind for ever, and whatever needs one.
 */
export function schemaGraph(reader: SchemaReader, roots: readonly Node[]): SchemaGraph {
  const shapes = new Map<Node, readonly Shape[]>();
  let count = 0;
  const todo = new Set(roots);
  // The set grows while it is walked through.
  for (const node of todo) {
    const own = reader.settledShapesOf(node);
    shapes.set(node, own);
    count += own.length;
    if (count > MOST_SHAPES) throw tooComplex("it has too many alternatives");
    for (const shape of own) for (const child of childrenOf(shape)) todo.add(child);
  }

  reader.requireExclusive();

  const possible = possibleNodes(shapes, reader);
  for (const root of roots) if (!possible.has(root)) throw unsatisfiable(pointerOf(root));
  const graph = new Map<Node, readonly Shape[]>();
  for (const node of possible) {
    graph.set(
      node,
      (shapes.get(node) as readonly Shape[]).flatMap((shape) => prune(shape, possible) ?? []),
    );
  }
  return graph;
}

export function childrenOf(shape: Shape): Node[] {
  if (shape.kind === "array") return [...shape.prefix, shape.items].filter((node) => node !== false);
  if (shape.kind !== "object") return [];
  return [...shape.properties.values(), shape.additional].filter((node) => node !== false);
}

function possibleNodes(shapes: ReadonlyMap<Node, readonly Shape[]>, reader: SchemaReader): Set<Node> {
  const possible = new Set<Node>();
  for (let before = -1; before < possible.size;) {
    before = possible.size;
    for (const [node, own] of shapes) {
      reader.budget.spend(own.length);
      if (!possible.has(node) && own.some((shape) => prune(shape, possible) !== undefined))
        possible.add(node);
    }
  }
  return possible;
}

/** A shape without what is impossible; undefined: it needs something that is. */
function prune(shape: Shape, possible: ReadonlySet<Node>): Shape | undefined {
  if (shape.kind === "array") return pruneArray(shape, possible);
  return shape.kind === "object" ? pruneObject(shape, possible) : shape;
}

function pruneArray(shape: ArrayShape, possible: ReadonlySet<Node>): ArrayShape | undefined {
  const blocked = shape.prefix.findIndex((node) => node === false || !possible.has(node));
  const prefix = (blocked < 0 ? shape.prefix : shape.prefix.slice(0, blocked)).slice(0, shape.maxItems);
  const items = blocked < 0 && shape.items !== false && possible.has(shape.items) && shape.items;
  const maxItems = items === false ? Math.min(prefix.length, shape.maxItems) : shape.maxItems;
  return (shape.minItems ?? 0) > maxItems ? undefined : { ...shape, prefix, items, maxItems };
}

function pruneObject(shape: ObjectShape, possible: ReadonlySet<Node>): ObjectShape | undefined {
  // A name that cannot be written stays, so that no other property takes it.
  const properties = new Map(
    [...shape.properties].map(([name, node]) => [name, node !== false && possible.has(node) && node]),
  );
  if (![...shape.required].every((name) => properties.get(name) !== false)) return undefined;
  const additional = shape.additional !== false && possible.has(shape.additional) && shape.additional;
  const none = additional === false && [...properties.values()].every((node) => node === false);
  if (shape.minProperties > 0 && none) return undefined;
  return { ...shape, properties, additional };
}
