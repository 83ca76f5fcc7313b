import { MullError } from "../../spec/errors.ts";
import type { JsonSchema } from "../../spec/tool.ts";
import { Budget, tooComplex } from "./budget.ts";
import { intersectShapes, isSurelyEmpty } from "./intersect-shapes.ts";
import { ownShapes, speaksOfValues } from "./own-shapes.ts";
import { SchemaDocument } from "./schema-document.ts";
import { schemaError } from "./schema-error.ts";
import { type Keywords, listOf, requireSupported } from "./schema-keywords.ts";
import { settleArray, settleShapes, stated } from "./settle-shapes.ts";
import type { Node, Place, Shape, ShapeContext } from "./shape.ts";

const MOST_CONTAINERS = 250;
const MOST_SHAPES = 10_000;
const DEEPEST = 60;
/** How deep alternatives of `oneOf` are compared. */
const COMPARED_DEPTH = 3;

/**
 * Reads schemas into alternatives of shapes. `allOf`, `$ref` and keywords beside them are intersections, `anyOf` is a
 * union; so any of them may stand anywhere, and beside any other keyword.
 */
export class SchemaReader implements ShapeContext {
  readonly budget: Budget = new Budget();
  readonly #document = new SchemaDocument();
  readonly #ofPlace = new Map<Place, readonly Shape[]>();
  readonly #ofNode = new Map<Node, readonly Shape[]>();
  readonly #open = new Set<Place>();
  /** Alternatives of `oneOf`, to be compared when what they refer to can be read. */
  readonly #exclusive: { branches: readonly (readonly Shape[])[]; place: Place }[] = [];
  readonly #anything: readonly Shape[];

  constructor() {
    this.#anything = ownShapes({}, this.#document.root(true), this.#document, this);
  }

  /**
   * @param name what messages call the schema
   * @throws MullError `invalid_argument`, here and from all that follows
   */
  read(schema: JsonSchema, name = ""): Node {
    return this.#document.node([this.#document.root(schema, name)]);
  }

  narrow(a: Node, b: Node): Node {
    return this.#document.node([...a.places, ...b.places]);
  }

  both(a: Node | false, b: Node | false): Node | false {
    return a !== false && b !== false && this.narrow(a, b);
  }

  shapesOf(node: Node): readonly Shape[] {
    let shapes = this.#ofNode.get(node);
    if (shapes === undefined) {
      shapes = this.#anything;
      for (const place of node.places) shapes = this.#intersect(shapes, this.#read(place));
      this.#ofNode.set(node, shapes);
    }
    return shapes;
  }

  /** What a model may write for a node. */
  settledShapesOf(node: Node): Shape[] {
    return settleShapes(this.shapesOf(node), pointerOf(node));
  }

  #read(place: Place): readonly Shape[] {
    const known = this.#ofPlace.get(place);
    if (known !== undefined) return known;
    if (this.#open.has(place)) {
      throw new MullError("invalid_argument", `The schema at ${place.pointer} refers only to itself.`, {
        hint: "A recursive schema must go through a property or an item.",
        details: { pointer: place.pointer },
      });
    }
    if (this.#open.size > DEEPEST) throw tooComplex(`combinations at ${place.pointer} are nested too deep`);
    this.#open.add(place);
    const shapes = this.#combine(place, place.schema);
    this.#open.delete(place);
    this.#ofPlace.set(place, shapes);
    return shapes;
  }

  #combine(place: Place, schema: JsonSchema): readonly Shape[] {
    if (typeof schema === "boolean") return schema ? this.#anything : [];
    requireSupported(schema, place);
    let shapes = speaksOfValues(schema) ? ownShapes(schema, place, this.#document, this) : this.#anything;
    if ("$ref" in schema) {
      shapes = this.#intersect(shapes, this.#read(this.#document.follow(place, schema["$ref"])));
    }
    for (const index of this.#alternatives(schema, "allOf", place)) {
      shapes = this.#intersect(shapes, this.#read(this.#document.inside(place, "allOf", index)));
    }
    for (const keyword of ["anyOf", "oneOf"]) {
      if (!(keyword in schema)) continue;
      const base = shapes;
      const branches = this.#alternatives(schema, keyword, place).map((index) => {
        const branch = stated(this.#read(this.#document.inside(place, keyword, index)));
        // A branch that allows everything says so, if nothing else is said.
        return base === this.#anything ? branch.map(spoken) : this.#intersect(base, branch);
      });
      if (keyword === "oneOf") this.#exclusive.push({ branches, place });
      shapes = limited([...new Set(branches.flat())]);
    }
    return shapes;
  }

  #alternatives(schema: Keywords, keyword: string, place: Place): number[] {
    return [...(listOf(schema, keyword, place) ?? []).keys()];
  }

  #intersect(a: readonly Shape[], b: readonly Shape[]): readonly Shape[] {
    // Shapes stay the same objects where nothing narrows them, so that alternatives said twice are one.
    if (a === this.#anything) return b;
    if (b === this.#anything) return a;
    const found = new Set<Shape>();
    for (const left of a) {
      for (const right of b) {
        const both = intersectShapes(left, right, this);
        if (both !== undefined) found.add(both);
      }
    }
    return limited([...found]);
  }

  /**
   * `oneOf` is `anyOf` when no value fits two alternatives; otherwise a grammar cannot say it.
   * To be called when everything has been read.
   */
  requireExclusive(): void {
    // Comparing may read more of them.
    for (const { branches, place } of this.#exclusive) {
      for (const [first, left] of branches.entries()) {
        for (const [second, right] of branches.entries()) {
          if (second <= first || !left.some((a) => right.some((b) => this.#overlap(a, b)))) continue;
          throw schemaError(
            "oneOf",
            place.pointer,
            `cannot be enforced: a value can fit its alternatives ${first} and ${second} at once (anyOf allows that)`,
          );
        }
      }
    }
  }

  #overlap(a: Shape, b: Shape): boolean {
    return [
      [written(a), b],
      [a, written(b)],
    ].some(([left, right]) => {
      const both = intersectShapes(left as Shape, right as Shape, this);
      return both !== undefined && !isSurelyEmpty(both, this, COMPARED_DEPTH);
    });
  }
}

/** Where a node stands, for messages. */
export function pointerOf(node: Node): string {
  return node.places[0]?.pointer ?? "#";
}

function spoken(shape: Shape): Shape {
  return shape.implicit ? { ...shape, implicit: false } : shape;
}

/** As it will be written: without properties and items that are not described. */
function written(shape: Shape): Shape {
  if (shape.kind === "array") return settleArray(shape);
  if (shape.kind !== "object" || shape.additionalStated || !shape.propertiesStated) return shape;
  return { ...shape, additional: false };
}

function limited(shapes: readonly Shape[]): readonly Shape[] {
  const containers = shapes.filter(({ kind }) => kind === "array" || kind === "object").length;
  if (containers > MOST_CONTAINERS || shapes.length > MOST_SHAPES)
    throw tooComplex("it has too many alternatives");
  return shapes;
}
