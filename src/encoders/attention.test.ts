import { afterAll, beforeAll, expect, test } from "vitest";
import {
  GraphEvaluator,
  type PlainTensor,
  largestDifference,
  plainTensor,
} from "../../test/support/graph-evaluator.ts";
import { type AttentionOptions, attend, attendInHeads, splitHeads } from "./attention.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

async function attendTo(x: PlainTensor, heads: number, fused: boolean): Promise<PlainTensor> {
  return evaluator.evaluate([x], (graph, t) =>
    attend(graph, t, graph.scale(t, 0.5), graph.scale(t, -1), heads, { fused }),
  );
}

// Row counts around the tiles of the fused kernel; head widths that are no multiple of a vector.
test.each([
  [1, 32, 4, 1],
  [17, 24, 4, 3],
  [64, 64, 2, 1],
  [145, 192, 6, 2],
  [577, 128, 2, 1],
])(
  "%i rows of %i columns and %i heads, %i pictures: fused and step by step agree in float32",
  async (rows, columns, heads, batch) => {
    const x = plainTensor(columns, rows, 1, batch);
    const fused = await attendTo(x, heads, true);
    const stepByStep = await attendTo(x, heads, false);
    // Values up to 2: rounding keys or values to half precision would show as 1e-3.
    expect(largestDifference(fused, x.shape, (...at) => stepByStep.at(...at))).toBeLessThan(1e-5);
    expect(Math.max(...fused.values)).toBeGreaterThan(0.1);
  },
);

/** Attention in float64. Head h of the queries looks at head h / (heads / keyHeads) of the keys. */
function reference(
  [q, k, v]: readonly [PlainTensor, PlainTensor, PlainTensor],
  mask: PlainTensor | undefined,
  { heads, keyHeads, scale }: { heads: number; keyHeads: number; scale: number },
): (column: number, row: number, depth: number, batch: number) => number {
  const [width, valueWidth] = [q.shape[0] / heads, v.shape[0] / keyHeads];
  return (column, row, _, batch) => {
    const head = Math.floor(column / valueWidth);
    const keyHead = Math.floor(head / (heads / keyHeads));
    const scores = Array.from({ length: k.shape[1] }, (__, key) => {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        sum += q.at(head * width + i, row, 0, batch) * k.at(keyHead * width + i, key, 0, batch);
      }
      return Math.exp(scale * sum + (mask?.at(key, row) ?? 0));
    });
    const total = scores.reduce((sum, score) => sum + score, 0);
    const value = (key: number): number => v.at(keyHead * valueWidth + (column % valueWidth), key, 0, batch);
    return scores.reduce((sum, score, key) => sum + (score / total) * value(key), 0);
  };
}

interface Case {
  queries: number;
  keys: number;
  /** Rows of a window that look at each other. */
  window?: number;
  keyHeads?: number;
  scale?: number;
  valueColumns?: number;
}

test.each<[string, Case]>([
  ["with other keys than queries", { queries: 3, keys: 70 }],
  ["in windows", { queries: 70, keys: 70, window: 8 }],
  ["with fewer heads of keys", { queries: 66, keys: 66, keyHeads: 2 }],
  ["with another scale", { queries: 5, keys: 5, scale: 1 }],
  ["with values of another width", { queries: 5, keys: 9, valueColumns: 24 }],
])("%s, fused and step by step", async (_, options) => {
  const { queries, keys, window, keyHeads = 4, scale = 1 / Math.sqrt(8), valueColumns } = options;
  const q = plainTensor(32, queries, 1, 2);
  const k = plainTensor(8 * keyHeads, keys, 1, 2);
  const v = plainTensor(valueColumns ?? 8 * keyHeads, keys, 1, 2);
  const mask = window === undefined ? undefined : plainTensor(keys, queries);
  if (mask !== undefined && window !== undefined) {
    for (const index of mask.values.keys()) {
      const [key, query] = [index % keys, Math.floor(index / keys)];
      mask.values[index] = Math.floor(key / window) === Math.floor(query / window) ? 0 : -Infinity;
    }
  }
  for (const fused of [true, false]) {
    const result = await evaluator.evaluate(mask ? [q, k, v, mask] : [q, k, v], (graph, tq, tk, tv, tm) => {
      const settings: AttentionOptions = { keyHeads, scale, fused, ...(tm ? { mask: tm } : {}) };
      return attend(graph, tq, tk, tv, 4, settings);
    });
    const expected = reference([q, k, v], mask, { heads: 4, keyHeads, scale });
    expect(largestDifference(result, [4 * (v.shape[0] / keyHeads), queries, 1, 2], expected)).toBeLessThan(
      5e-6,
    );
  }
});

test("turned heads: rope between splitting and attending", async () => {
  const x = plainTensor(32, 9, 1, 2);
  const positions = Int32Array.from({ length: 9 }, (_, row) => row);
  const build = (shift: number) => async (): Promise<PlainTensor> =>
    evaluator.evaluate([x, positions.map((position) => position + shift)], (graph, t, p) => {
      const heads = graph.rope(splitHeads(graph, t, 4), p, { base: 100 });
      return attendInHeads(graph, heads, heads, splitHeads(graph, t, 4));
    });
  // Scores depend on the distance of two rows only.
  const [near, far] = [await build(0)(), await build(5)()];
  expect(largestDifference(near, x.shape, (...at) => far.at(...at))).toBeLessThan(1e-5);
  const without = await evaluator.evaluate([x], (graph, t) => attend(graph, t, t, t, 4));
  expect(near.values).not.toEqual(without.values);
});
