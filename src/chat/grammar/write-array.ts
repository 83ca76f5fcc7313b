import { tooComplex } from "./budget.ts";
import { jsonRule } from "./json-rules.ts";
import type { ArrayShape } from "./shape.ts";
import type { ShapeWriter } from "./shape-writer.ts";

const LONGEST_PREFIX = 200;

/** `[`, the items that stand in fixed places, then others, and `]`. */
export function writeArray(shape: ArrayShape, { grammar, ruleOf }: ShapeWriter): string {
  const { prefix, items, maxItems } = shape;
  const minItems = shape.minItems ?? 0;
  if (prefix.length > LONGEST_PREFIX)
    throw tooComplex(`an array has more than ${LONGEST_PREFIX} fixed places`);
  const ws = jsonRule(grammar, "ws");
  const comma = `"," ${ws} `;
  // From the last place to the first: what stands there and behind it.
  let rest = "";
  if (items !== false && maxItems > Math.max(prefix.length, 1)) {
    const written = Math.max(prefix.length, 1);
    const another = grammar.define(comma + ruleOf(items));
    rest = grammar.repeat(another, Math.max(minItems - written, 0), maxItems - written);
  }
  const first = prefix.length > 0 ? prefix : items !== false && maxItems > 0 ? [items] : [];
  for (let place = first.length - 1; place > 0; place--) {
    const node = first[place];
    if (node === undefined || node === false) continue;
    const own = `${comma}${ruleOf(node)}${rest === "" ? "" : ` ${rest}`}`;
    rest = place < minItems ? own : `( ${own} )?`;
  }
  const [node] = first;
  if (node === undefined || node === false) return `"[" ${ws} "]"`;
  const filled = `${ruleOf(node)}${rest === "" ? "" : ` ${rest}`} ${ws}`;
  return minItems > 0 ? `"[" ${ws} ${filled} "]"` : `"[" ${ws} ( ${filled} )? "]"`;
}
