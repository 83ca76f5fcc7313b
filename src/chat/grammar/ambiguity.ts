import { isSameValue } from "./intersect-shapes.ts";
import { type SchemaGraph, childrenOf } from "./schema-graph.ts";
import { pointerOf } from "./schema-reader.ts";
import type { ArrayShape, Node, ObjectShape, Shape } from "./shape.ts";
import { MullError } from "../../spec/errors.ts";

/** Ways to read the same text that llama.cpp may have to keep at once. Each costs a look at the whole vocabulary. */
const MOST_WAYS = 100;

/**
 * While it reads, llama.cpp keeps a stack for every way in which the text so far can be understood. Alternatives that
 * begin alike and contain each other double the stacks at every level, without end. A schema that could do so is
 * refused: of alternatives that nothing tells apart at once, at most one may lead back to itself.
 *
 * @throws MullError `invalid_argument`
 */
export function requireFewWays(graph: SchemaGraph): void {
  const ways = new Map<Node, number>();
  for (const circle of circlesOf(graph)) {
    const inside = new Set(circle);
    let most = 1;
    for (const node of circle) {
      for (const group of alike(graph.get(node) as readonly Shape[], graph)) {
        const returning = group.filter((shape) => childrenOf(shape).some((child) => inside.has(child)));
        if (returning.length > 1) throw ambiguous(node);
        const sum = group
          .map((shape) => Math.max(1, ...childrenOf(shape).map((child) => ways.get(child) ?? 1)))
          .reduce((a, b) => a + b);
        most = Math.max(most, sum);
      }
    }
    if (most > MOST_WAYS) throw ambiguous(circle[0] as Node);
    for (const node of circle) ways.set(node, most);
  }
}

function ambiguous(node: Node): MullError {
  return new MullError(
    "invalid_argument",
    `The schema at ${pointerOf(node)} has nested alternatives that begin in the same way.`,
    {
      hint: 'Let each begin with a required property of its own, such as "type" with a const.',
      details: { pointer: pointerOf(node) },
    },
  );
}

/** Strongly connected components, inner ones first (Tarjan 1972). A node alone has no way back, or only to itself. */
function circlesOf(graph: SchemaGraph): Node[][] {
  const index = new Map<Node, number>();
  const lowest = new Map<Node, number>();
  const waiting: Node[] = [];
  const isWaiting = new Set<Node>();
  const circles: Node[][] = [];
  const children = (node: Node): Node[] => [
    ...new Set((graph.get(node) as readonly Shape[]).flatMap(childrenOf)),
  ];

  for (const root of graph.keys()) {
    if (index.has(root)) continue;
    const path = [{ node: root, left: children(root) }];
    index.set(root, index.size);
    lowest.set(root, index.get(root) as number);
    waiting.push(root);
    isWaiting.add(root);
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      const { node, left } = step;
      const child = left.pop();
      if (child !== undefined) {
        if (!index.has(child)) {
          index.set(child, index.size);
          lowest.set(child, index.get(child) as number);
          waiting.push(child);
          isWaiting.add(child);
          path.push({ node: child, left: children(child) });
        } else if (isWaiting.has(child)) {
          lowest.set(node, Math.min(lowest.get(node) as number, index.get(child) as number));
        }
        continue;
      }
      path.pop();
      const parent = path.at(-1)?.node;
      if (parent !== undefined) {
        lowest.set(parent, Math.min(lowest.get(parent) as number, lowest.get(node) as number));
      }
      if (lowest.get(node) !== index.get(node)) continue;
      const circle = waiting.splice(waiting.lastIndexOf(node));
      for (const member of circle) isWaiting.delete(member);
      circles.push(circle);
    }
  }
  return circles;
}

/** Groups of shapes that may be open at the same time. */
function alike(shapes: readonly Shape[], graph: SchemaGraph): Shape[][] {
  const groups: Shape[][] = [];
  for (const shape of shapes) {
    const [near, far] = partition(groups, (group) => group.some((other) => beginAlike(shape, other, graph)));
    groups.length = 0;
    groups.push(...far, [...near.flat(), shape]);
  }
  return groups;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function beginAlike(a: Shape, b: Shape, graph: SchemaGraph): boolean {
  if (a.kind === "array" && b.kind === "array") return itemsBeginAlike(a, b, graph);
  if (a.kind === "object" && b.kind === "object") return propertiesBeginAlike(a, b, graph);
  return false;
}

function itemsBeginAlike(a: ArrayShape, b: ArrayShape, graph: SchemaGraph): boolean {
  const [left, right] = [a.prefix[0] ?? a.items, b.prefix[0] ?? b.items];
  if (left === false || right === false) return false;
  return !areTellable(left, right, graph);
}

function propertiesBeginAlike(a: ObjectShape, b: ObjectShape, graph: SchemaGraph): boolean {
  const [left, right] = [a, b].map(({ properties }) =>
    [...properties].filter(([, node]) => node !== false),
  ) as [[string, Node][], [string, Node][]];
  for (let place = 0; ; place++) {
    const [first, second] = [left[place], right[place]];
    if (first === undefined || second === undefined) return true;
    const [[name, node], [otherName, other]] = [first, second];
    if (!a.required.has(name) || !b.required.has(otherName)) {
      return mayShareName(nextNames(a, left.slice(place)), nextNames(b, right.slice(place)));
    }
    if (name !== otherName || areTellable(node, other, graph)) return false;
    if (!isFixed(node, graph) || !isFixed(other, graph)) return true;
  }
}

/** Names that may come next; undefined among them: any other one. */
function nextNames(shape: ObjectShape, rest: readonly [string, unknown][]): (string | undefined)[] {
  const needed = rest.findIndex(([name]) => shape.required.has(name));
  const names = rest.slice(0, needed < 0 ? undefined : needed + 1).map(([name]) => name);
  return needed < 0 && shape.additional !== false ? [...names, undefined] : names;
}

function mayShareName(a: readonly (string | undefined)[], b: readonly (string | undefined)[]): boolean {
  if (a.includes(undefined) || b.includes(undefined)) return a.length > 0 && b.length > 0;
  return a.some((name) => b.includes(name));
}

/** Whether the first letter of a value, or a value that is fixed, tells two nodes apart. */
function areTellable(a: Node, b: Node, graph: SchemaGraph): boolean {
  const [left, right] = [graph.get(a) ?? [], graph.get(b) ?? []];
  if (!left.some((shape) => right.some((other) => kindOf(shape) === kindOf(other)))) return true;
  if (!isFixed(a, graph) || !isFixed(b, graph)) return false;
  const valueOf = (shape: Shape): unknown => (shape.kind === "literal" ? shape.value : undefined);
  return !left.some((shape) => right.some((other) => isSameValue(valueOf(shape), valueOf(other))));
}

function kindOf(shape: Shape): string {
  if (shape.kind !== "literal") return shape.kind;
  if (Array.isArray(shape.value)) return "array";
  return typeof shape.value === "boolean" || shape.value === null ? String(shape.value) : typeof shape.value;
}

function isFixed(node: Node, graph: SchemaGraph): boolean {
  return (graph.get(node) ?? []).every((shape) => shape.kind === "literal" && !isContainer(shape.value));
}

function isContainer(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
