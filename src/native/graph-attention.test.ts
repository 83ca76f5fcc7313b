import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GraphEvaluator,
  type PlainTensor,
  ROUNDING,
  largestDifference,
  plainTensor,
} from "../../test/support/graph-evaluator.ts";
import { Graph } from "./graph.ts";
import type { RopeOptions } from "./graph-attention.ts";
import type { Tensor } from "./tensor.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

/** Nothing looks far ahead, and everything looks at itself: [keys, queries, heads, batch] of 0 and -Infinity. */
function bandMask(keys: number, queries: number, heads = 1, batch = 1): PlainTensor {
  const mask = plainTensor(keys, queries, heads, batch);
  for (const index of mask.values.keys()) {
    const [key, query] = [index % keys, Math.floor(index / keys) % queries];
    const step = Math.floor(index / (keys * queries)) + 1;
    mask.values[index] = key % queries === query || (key + step * query) % 3 === 0 ? 0 : -Infinity;
  }
  return mask;
}

/** Weights of all keys for one query. */
function softmaxRow(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

describe("softmax", () => {
  test.each([
    ["without a mask", undefined],
    ["with a mask for all", [1, 1]],
    ["with a mask for each head", [4, 1]],
    ["with a mask for each head of each picture", [4, 3]],
    ["with a mask for every second head", [2, 1]],
  ] as const)("%s", async (_, maskFor) => {
    const x = plainTensor(9, 5, 4, 3);
    const mask = maskFor && bandMask(9, 5, ...maskFor);
    const inputs = mask === undefined ? [x] : [x, mask];
    const expected = ([i0, i1, i2, i3]: readonly [number, number, number, number]): number => {
      const scores = Array.from(
        { length: 9 },
        (__, key) =>
          0.7 * x.at(key, i1, i2, i3) +
          (mask?.at(key, i1, i2 % (maskFor?.[0] ?? 1), i3 % (maskFor?.[1] ?? 1)) ?? 0),
      );
      return softmaxRow(scores)[i0] ?? NaN;
    };
    const result = await evaluator.evaluate(inputs, (graph, t, m) => graph.softmax(t, 0.7, m));
    expect(largestDifference(result, x.shape, (...at) => expected(at))).toBeLessThan(ROUNDING);
    const half = await evaluator.evaluate(inputs, (graph, t, m) =>
      graph.softmax(t, 0.7, m && graph.cast(m, "f16")),
    );
    expect(largestDifference(half, x.shape, (...at) => expected(at))).toBeLessThan(ROUNDING);
  });
});

describe("flashAttention", () => {
  const cases: [string, { q: number[]; k: number[]; values?: number; mask?: [number, number] }][] = [
    ["alone", { q: [8, 5, 2], k: [8, 5, 2] }],
    ["with more keys than queries", { q: [6, 3, 2], k: [6, 70, 2] }],
    ["with one query", { q: [16, 1, 2], k: [16, 600, 2] }],
    ["with values of another width", { q: [8, 5, 2], k: [8, 7, 2], values: 12 }],
    ["with fewer heads of keys", { q: [8, 66, 6], k: [8, 66, 2] }],
    ["of several pictures", { q: [8, 66, 2, 3], k: [8, 66, 2, 3] }],
    ["of several pictures with one mask", { q: [16, 67, 2, 3], k: [16, 67, 2, 3], mask: [1, 1] }],
    ["of several pictures with a mask each", { q: [16, 5, 2, 3], k: [16, 67, 2, 3], mask: [1, 3] }],
    ["of several heads with a mask each", { q: [7, 5, 4, 2], k: [7, 9, 4, 2], mask: [4, 1] }],
  ];
  test.each(cases)("%s", async (_, { q: qShape, k: kShape, values, mask: maskFor }) => {
    const [q, k] = [plainTensor(...qShape), plainTensor(...kShape)];
    const v = plainTensor(values ?? (kShape[0] as number), ...kShape.slice(1));
    const [headColumns, queries, heads, batch] = q.shape;
    const [, keys, keyHeads] = k.shape;
    const mask = maskFor && bandMask(keys, queries, ...maskFor);
    const expected = (i0: number, head: number, query: number, i3: number): number => {
      const keyHead = Math.floor(head / (heads / keyHeads));
      const scores = Array.from({ length: keys }, (__, key) => {
        let sum = 0;
        for (let i = 0; i < headColumns; i++) sum += q.at(i, query, head, i3) * k.at(i, key, keyHead, i3);
        const hidden = mask?.at(key, query, head % (maskFor?.[0] ?? 1), i3 % (maskFor?.[1] ?? 1)) ?? 0;
        return 0.4 * sum + hidden;
      });
      return softmaxRow(scores).reduce((sum, weight, key) => sum + weight * v.at(i0, key, keyHead, i3), 0);
    };
    const inputs = mask === undefined ? [q, k, v] : [q, k, v, mask];
    const result = await evaluator.evaluate(inputs, (graph, tq, tk, tv, tm) =>
      graph.flashAttention(tq, tk, tv, 0.4, tm),
    );
    expect(largestDifference(result, [v.shape[0], heads, queries, batch], expected)).toBeLessThan(5e-6);
    const half = await evaluator.evaluate(inputs, (graph, tq, tk, tv, tm) =>
      graph.flashAttention(...([tq, graph.cast(tk, "f16"), graph.cast(tv, "f16"), 0.4] as const), tm),
    );
    expect(largestDifference(half, [v.shape[0], heads, queries, batch], expected)).toBeLessThan(5e-3);
  });

  test("a query that looks nowhere gets zeros", async () => {
    const x = plainTensor(8, 5, 2);
    const mask = plainTensor(5, 5);
    mask.values.fill(-Infinity, 0, 5).fill(0, 5);
    const result = await evaluator.evaluate([x, mask], (graph, t, m) => graph.flashAttention(t, t, t, 1, m));
    for (let column = 0; column < 8; column++) expect(result.at(column, 0, 0)).toBe(0);
    expect(result.values.every(Number.isFinite)).toBe(true);
  });
});

describe("rope", () => {
  const positions = Int32Array.of(0, 3, 1, 700, 12);
  const x = plainTensor(12, 3, 5, 2);
  /** One column after its pair is turned by `angle`. */
  const turn = (first: number, second: number, angle: number, isSecond: boolean): number =>
    isSecond
      ? first * Math.sin(angle) + second * Math.cos(angle)
      : first * Math.cos(angle) - second * Math.sin(angle);
  /** Column i0 of a row whose columns from `offset` on are turned in pairs. */
  const rotated = (
    at: readonly [number, number, number, number],
    position: number,
    options: { base: number; pairs: "normal" | "neox"; dimensions: number; offset: number; scale: number },
  ): number => {
    const { base, pairs, dimensions, offset, scale } = options;
    const [i0, ...rest] = at;
    const column = i0 - offset;
    if (column < 0 || column >= dimensions) return x.at(...at);
    const half = dimensions / 2;
    const pair = pairs === "normal" ? Math.floor(column / 2) : column % half;
    const isSecond = pairs === "normal" ? column % 2 === 1 : column >= half;
    const [first, second] = pairs === "normal" ? [2 * pair, 2 * pair + 1] : [pair, pair + half];
    const angle = position * scale * base ** ((-2 * pair) / dimensions);
    return turn(x.at(first + offset, ...rest), x.at(second + offset, ...rest), angle, isSecond);
  };

  // The angle is a product in float32: at position 700 it is exact to 1e-4.
  const tolerance = 1e-4;

  test.each<[RopeOptions]>([
    [{ base: 10_000 }],
    [{ base: 100, pairs: "neox" }],
    [{ base: 100, dimensions: 8 }],
    [{ base: 100, pairs: "neox", dimensions: 6, offset: 4 }],
    [{ base: 100, offset: 2 }],
    [{ base: 100, pairs: "normal", frequencyScale: 0.5 }],
  ])("with %j", async (options) => {
    const result = await evaluator.evaluate([x, positions], (graph, t, p) => graph.rope(t, p, options));
    const { pairs = "normal", offset = 0, frequencyScale: scale = 1 } = options;
    const { dimensions = 12 - offset } = options;
    expect(
      largestDifference(result, x.shape, (...at) =>
        rotated(at, positions[at[2]] ?? NaN, { base: options.base, pairs, dimensions, offset, scale }),
      ),
    ).toBeLessThan(tolerance);
  });

  test.each([
    ["with the same frequencies in both halves", false, "normal"],
    ["with frequencies in turns", true, "normal"],
    ["in pairs across each half", false, "neox"],
  ] as const)("in a plane, %s", async (_, alternate, pairs) => {
    const other = Int32Array.of(5, 0, 2, 30, 700);
    const result = await evaluator.evaluate([x, positions, other], (graph, t, p, o) =>
      graph.rope2d(t, p, o, { base: 100, alternate, pairs }),
    );
    expect(
      largestDifference(result, x.shape, (...at) => {
        const isFirst = at[0] < 6;
        // Of the frequencies 100^(-2j / 12), the first half has the even j, the second the odd ones.
        const scale = alternate && !isFirst ? 100 ** (-2 / 12) : 1;
        const position = (isFirst ? positions : other)[at[2]] ?? NaN;
        return rotated(at, position, { base: 100, pairs, dimensions: 6, offset: isFirst ? 0 : 6, scale });
      }),
    ).toBeLessThan(tolerance);
  });

  const rowsOfFour = [
    [0, 3, 1, 70, 12],
    [1, 4, 9, 16, 25],
    [2, 2, 30, 1, 0],
    [7, 0, 0, 2, 1],
  ];
  const four = Int32Array.from(rowsOfFour.flat());

  test("vision: the first half of the pairs by the first position, the second by the second", async () => {
    const result = await evaluator.evaluate([x, four], (graph, t, p) =>
      graph.ropeMulti(t, p, { base: 100, mode: "vision" }),
    );
    expect(
      largestDifference(result, x.shape, (...at) => {
        const [i0, ...rest] = at;
        const pair = i0 % 6;
        const inSection = pair % 3;
        const position = four[at[2] + (pair < 3 ? 0 : 5)] ?? NaN;
        const angle = position * 100 ** ((-2 * inSection) / 6);
        return turn(x.at(pair, ...rest), x.at(pair + 6, ...rest), angle, i0 >= 6);
      }),
    ).toBeLessThan(tolerance);
  });

  test("mrope: one row of frequencies across the sections", async () => {
    const sections = [2, 1, 2, 1] as const;
    const result = await evaluator.evaluate([x, four], (graph, t, p) =>
      graph.ropeMulti(t, p, { base: 100, mode: "mrope", sections }),
    );
    expect(
      largestDifference(result, x.shape, (...at) => {
        const [i0, ...rest] = at;
        const pair = i0 % 6;
        const section = [0, 0, 1, 2, 2, 3][pair] ?? NaN;
        const angle = (four[at[2] + 5 * section] ?? NaN) * 100 ** ((-2 * pair) / 12);
        return turn(x.at(pair, ...rest), x.at(pair + 6, ...rest), angle, i0 >= 6);
      }),
    ).toBeLessThan(tolerance);
  });
});

describe("operands that do not fit are errors", () => {
  const attention = (g: Graph, q: number[], k: number[], v: number[], mask?: number[]): Tensor =>
    g.flashAttention(g.input(...q), g.input(...k), g.input(...v), 1, mask && g.input(...mask));
  const misfits: [string, (graph: Graph) => unknown][] = [
    ["softmax with a mask of other keys", (g) => g.softmax(g.input(4, 3), 1, g.input(3, 3))],
    ["softmax with a mask of other queries", (g) => g.softmax(g.input(4, 3), 1, g.input(4, 4))],
    ["softmax with a mask of other heads", (g) => g.softmax(g.input(4, 3, 4), 1, g.input(4, 3, 3))],
    ["softmax with a mask of int32", (g) => g.softmax(g.input(4, 3), 1, g.inputInt32(4, 3))],
    [
      "softmax with a permuted mask",
      (g) => g.softmax(g.input(4, 4), 1, g.permute(g.input(4, 4), [1, 0, 2, 3])),
    ],
    ["attention to keys of another width", (g) => attention(g, [8, 4, 2], [4, 4, 2], [4, 4, 2])],
    ["attention to other values than keys", (g) => attention(g, [8, 4, 2], [8, 4, 2], [8, 5, 2])],
    ["attention to heads that do not divide", (g) => attention(g, [8, 4, 3], [8, 4, 2], [8, 4, 2])],
    ["attention to another batch", (g) => attention(g, [8, 4, 2, 2], [8, 4, 2], [8, 4, 2])],
    ["attention with a mask of other queries", (g) => attention(g, [8, 4, 2], [8, 6, 2], [8, 6, 2], [6, 6])],
    [
      "attention to keys and values of two types",
      (g) => g.flashAttention(g.input(8, 4), g.cast(g.input(8, 4), "f16"), g.input(8, 4), 1),
    ],
    ["rope of an odd row", (g) => g.rope(g.input(5, 2, 3), g.inputInt32(3), { base: 1 })],
    ["rope of odd dimensions", (g) => g.rope(g.input(6, 2, 3), g.inputInt32(3), { base: 1, dimensions: 3 })],
    [
      "rope past the row",
      (g) => g.rope(g.input(6, 2, 3), g.inputInt32(3), { base: 1, dimensions: 4, offset: 4 }),
    ],
    ["rope with positions of other rows", (g) => g.rope(g.input(6, 2, 3), g.inputInt32(2), { base: 1 })],
    ["rope with positions of float32", (g) => g.rope(g.input(6, 2, 3), g.input(3), { base: 1 })],
    ["rope with base 0", (g) => g.rope(g.input(6, 2, 3), g.inputInt32(3), { base: 0 })],
    [
      "rope2d of halves that are odd",
      (g) => g.rope2d(g.input(6, 2, 3), g.inputInt32(3), g.inputInt32(3), { base: 1 }),
    ],
    [
      "ropeMulti with one position",
      (g) => g.ropeMulti(g.input(8, 2, 3), g.inputInt32(3), { base: 1, mode: "vision" }),
    ],
    [
      "ropeMulti without sections",
      (g) =>
        g.ropeMulti(g.input(8, 2, 3), g.inputInt32(12), { base: 1, mode: "mrope", sections: [0, 0, 0, 1] }),
    ],
    [
      "ropeMulti with more sections than columns",
      (g) =>
        g.ropeMulti(g.input(8, 2, 3), g.inputInt32(12), { base: 1, mode: "mrope", sections: [4, 4, 4, 4] }),
    ],
    [
      "ropeMulti of 6 columns",
      (g) => g.ropeMulti(g.input(6, 2, 3), g.inputInt32(12), { base: 1, mode: "vision" }),
    ],
  ];
  test.each(misfits)("%s", async (_, misfit) => {
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    expect(() => misfit(graph)).toThrow(/does not take/);
    await graph.close();
  });
});
