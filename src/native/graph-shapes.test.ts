import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GraphEvaluator,
  ROUNDING,
  largestDifference,
  plainTensor,
} from "../../test/support/graph-evaluator.ts";
import { Graph } from "./graph.ts";
import type { Shape, Tensor } from "./tensor.ts";
import { allocateWeights } from "./weights.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

const a = plainTensor(7, 5, 3, 2);

describe("what moves elements", () => {
  const orders: Shape[] = [
    [0, 1, 2, 3],
    [1, 0, 2, 3],
    [0, 2, 1, 3],
    [2, 0, 1, 3],
    [3, 2, 1, 0],
    [1, 2, 3, 0],
  ];
  test.each(orders)("permute %i %i %i %i, then contiguous", async (...axes: Shape) => {
    const result = await evaluator.evaluate([a], (graph, x) => graph.contiguous(graph.permute(x, axes)));
    const lengths = [0, 1, 2, 3].map((to) => a.shape[axes.indexOf(to) as 0]);
    expect(
      largestDifference(result, lengths, (...at) => {
        const from = axes.map((to) => at[to as 0]) as [number, number, number, number];
        return a.at(...from);
      }),
    ).toBeLessThan(ROUNDING);
  });

  test("permute of a dimension of length 1 leaves a tensor contiguous", async () => {
    const x = plainTensor(4, 1, 3);
    const result = await evaluator.evaluate([x], (graph, t) => {
      const permuted = graph.permute(t, [0, 2, 1, 3]);
      expect(permuted.contiguous).toBe(true);
      return graph.silu(graph.scale(permuted, 0));
    });
    expect(largestDifference(result, [4, 3, 1], () => 0)).toBeLessThan(ROUNDING);
  });

  test("reshape keeps the order", async () => {
    const result = await evaluator.evaluate([a], (graph, x) => graph.scale(graph.reshape(x, 35, 6), 1));
    expect(largestDifference(result, [35, 6], (i0, i1) => a.values[i0 + 35 * i1] ?? NaN)).toBeLessThan(
      ROUNDING,
    );
  });

  const wholeRows: Shape[] = [
    [0, 1, 2, 3],
    [0, 3, 1, 2],
  ];
  test.each([0, 1, 2, 3].flatMap((axis) => wholeRows.map((axes) => ({ axis, axes }))))(
    "slice along $axis of a tensor permuted by $axes",
    async ({ axis, axes }) => {
      const x = plainTensor(7, 5, 4, 3);
      const result = await evaluator.evaluate([x], (graph, t) =>
        graph.contiguous(graph.slice(graph.permute(t, axes), axis, 1, 2)),
      );
      const lengths = [0, 1, 2, 3].map((to) => x.shape[axes.indexOf(to) as 0]);
      expect(
        largestDifference(result, lengths.with(axis, 2), (...at) => {
          const moved = at.with(axis, at[axis as 0] + 1);
          return x.at(...(axes.map((to) => moved[to as 0]) as [number, number, number, number]));
        }),
      ).toBeLessThan(ROUNDING);
    },
  );

  test("a slice of a slice", async () => {
    const result = await evaluator.evaluate([a], (graph, x) =>
      graph.contiguous(graph.slice(graph.rows(graph.slice(x, 3, 1, 1), 1, 3), 0, 2, 4)),
    );
    expect(largestDifference(result, [4, 3, 3, 1], (i0, i1, i2) => a.at(i0 + 2, i1 + 1, i2, 1))).toBeLessThan(
      ROUNDING,
    );
  });

  test("rows of one matrix are contiguous, of several they are not", async () => {
    const graph = new Graph(evaluator.backend, { maxTensors: 8 });
    expect(graph.rows(graph.input(4, 3), 1, 2).contiguous).toBe(true);
    expect(graph.rows(graph.input(4, 3, 1, 2), 1, 2).contiguous).toBe(false);
    expect(graph.slice(graph.input(4, 3, 1, 2), 3, 1, 1).contiguous).toBe(true);
    await graph.close();
  });

  test.each([0, 1, 2, 3])("concat along %i", async (axis) => {
    const lengths = a.shape.with(axis, 3);
    const b = plainTensor(...lengths);
    const result = await evaluator.evaluate([a, b], (graph, x, y) => graph.concat(x, y, axis));
    const length = a.shape[axis as 0];
    expect(
      largestDifference(result, a.shape.with(axis, length + 3), (...at) => {
        const [i0, i1, i2, i3] = at.with(axis, at[axis as 0] - length) as unknown as Shape;
        return at[axis as 0] < length ? a.at(...at) : b.at(i0, i1, i2, i3);
      }),
    ).toBeLessThan(ROUNDING);
  });

  test("repeat", async () => {
    const x = plainTensor(3, 1, 2);
    const result = await evaluator.evaluate([x], (graph, t) => graph.repeat(t, 6, 4, 2, 3));
    expect(largestDifference(result, [6, 4, 2, 3], (i0, _, i2) => x.at(i0 % 3, 0, i2))).toBeLessThan(
      ROUNDING,
    );
  });

  test("pad on any side", async () => {
    const result = await evaluator.evaluate([a], (graph, x) => graph.pad(x, [1, 2], [0, 1], [3, 0], [1, 1]));
    expect(
      largestDifference(result, [10, 6, 6, 4], (i0, i1, i2, i3) => {
        const at = [i0 - 1, i1, i2 - 3, i3 - 1] as const;
        return at.every((index, axis) => index >= 0 && index < a.shape[axis as 0]) ? a.at(...at) : 0;
      }),
    ).toBeLessThan(ROUNDING);
  });

  test.each(["f16", "bf16"] as const)("cast to %s and back rounds", async (type) => {
    const result = await evaluator.evaluate([a], (graph, x) =>
      graph.cast(graph.cast(graph.permute(x, [1, 0, 2, 3]), type), "f32"),
    );
    const tolerance = type === "f16" ? 2 ** -11 : 2 ** -8;
    expect(largestDifference(result, [5, 7, 3, 2], (i0, i1, i2, i3) => a.at(i1, i0, i2, i3))).toBeLessThan(
      tolerance,
    );
    expect(result.values).not.toEqual(Float32Array.from(result.values, (_, index) => a.values[index] ?? 0));
  });
});

describe("getRows", () => {
  test("in any order, again and again", async () => {
    const x = plainTensor(5, 4);
    const order = Int32Array.of(3, 0, 0, 2, 3, 1);
    const result = await evaluator.evaluate([x, order], (graph, t, indices) => graph.getRows(t, indices));
    expect(largestDifference(result, [5, 6], (i0, i1) => x.at(i0, order[i1]))).toBeLessThan(ROUNDING);
  });

  test("of every matrix in a batch, by its own indices", async () => {
    const x = plainTensor(5, 4, 2, 2);
    const order = Int32Array.of(3, 0, 2, 1, 1, 1, 0, 2, 3, 2, 1, 3);
    const result = await evaluator.evaluate([x, order], (graph, t, indices) =>
      graph.getRows(t, graph.reshape(indices, 3, 2, 2)),
    );
    expect(
      largestDifference(result, [5, 3, 2, 2], (i0, i1, i2, i3) =>
        x.at(i0, order[i1 + 3 * (i2 + 2 * i3)], i2, i3),
      ),
    ).toBeLessThan(ROUNDING);
  });

  test("unpacks weights", async () => {
    const weights = allocateWeights(evaluator.backend, [
      { name: "f16", shape: [4, 3], type: "f16" },
      { name: "q8_0", shape: [32, 2], type: "q8_0" },
    ]);
    const { api } = evaluator.backend;
    // In half precision 1.5 is 0x3e00, -2 is 0xc000 and 0.5 is 0x3800.
    const halves = Uint16Array.from({ length: 12 }, (_, index) => (index < 8 ? 0x3e00 : 0xc000));
    api.tensorSet(weights.get("f16").pointer, halves, 0, halves.byteLength);
    const blocks = new Uint8Array(2 * 34).map((_, index) => [0x00, 0x38][index % 34] ?? (index % 34) - 1);
    api.tensorSet(weights.get("q8_0").pointer, blocks, 0, blocks.byteLength);
    const half = await evaluator.evaluate([Int32Array.of(2, 0)], (graph, indices) =>
      graph.getRows(weights.get("f16"), indices),
    );
    expect(largestDifference(half, [4, 2], (_, i1) => (i1 === 0 ? -2 : 1.5))).toBeLessThan(ROUNDING);
    const packed = await evaluator.evaluate([Int32Array.of(1)], (graph, indices) =>
      graph.getRows(weights.get("q8_0"), indices),
    );
    expect(largestDifference(packed, [32], (i0) => 0.5 * (i0 + 1))).toBeLessThan(ROUNDING);
    await weights.close();
  });

  test.each([[-1], [4], [2 ** 31 - 1]])("index %i of 4 rows is an error of the run", async (index) => {
    const x = plainTensor(5, 4);
    const running = evaluator.evaluate([x, Int32Array.of(0, index)], (graph, t, indices) =>
      graph.getRows(t, graph.slice(indices, 0, 1, 1)),
    );
    await expect(running).rejects.toThrow(`There is no row ${index} among 4 rows.`);
  });

  test("an index in a constant is checked at once", async () => {
    const graph = new Graph(evaluator.backend, { maxTensors: 8 });
    const indices = graph.constant(Int32Array.of(1, 4), 2);
    expect(() => graph.getRows(graph.input(5, 4), indices)).toThrow(/no row 4 among 4/);
    await graph.close();
  });
});

describe("operands that do not fit are errors", () => {
  const transposed = (g: Graph): Tensor => g.permute(g.input(3, 2), [1, 0, 2, 3]);
  const misfits: [string, (graph: Graph) => unknown][] = [
    ["reshape to fractions", (g) => g.reshape(g.input(3), 1.5, 2)],
    ["reshape to negative lengths", (g) => g.reshape(g.input(6), -2, -3)],
    ["reshape to five dimensions", (g) => g.reshape(g.input(6), 1, 1, 1, 1, 6)],
    ["permute to five dimensions", (g) => g.permute(g.input(6), [0, 1, 2, 4])],
    ["contiguous of int32", (g) => g.contiguous(g.inputInt32(6))],
    ["cast of int32", (g) => g.cast(g.inputInt32(6), "f16")],
    ["slice past the end", (g) => g.slice(g.input(4, 3), 0, 3, 2)],
    ["slice of nothing", (g) => g.slice(g.input(4, 3), 1, 0, 0)],
    ["slice from a fraction", (g) => g.slice(g.input(4, 3), 1, 0.5, 1)],
    ["slice along a fifth dimension", (g) => g.slice(g.input(4, 3), 4, 0, 1)],
    ["slice of a transposed matrix", (g) => g.slice(transposed(g), 1, 0, 1)],
    ["getRows by float32", (g) => g.getRows(g.input(4, 3), g.input(1))],
    ["getRows of another batch", (g) => g.getRows(g.input(4, 3, 2), g.inputInt32(1))],
    ["getRows of int32", (g) => g.getRows(g.inputInt32(4, 3), g.inputInt32(1))],
    ["getRows of a transposed matrix", (g) => g.getRows(transposed(g), g.inputInt32(1))],
    ["concat of other lengths", (g) => g.concat(g.input(4, 3), g.input(4, 2), 0)],
    ["concat of other types", (g) => g.concat(g.input(4), g.cast(g.input(4), "f16"), 0)],
    ["concat along a fifth dimension", (g) => g.concat(g.input(4), g.input(4), 4)],
    ["repeat to no multiple", (g) => g.repeat(g.input(4), 6)],
    ["repeat to less", (g) => g.repeat(g.input(4, 2), 4)],
    ["pad by less than nothing", (g) => g.pad(g.input(4), [-1, 0])],
    ["pad of half precision", (g) => g.pad(g.cast(g.input(4), "f16"), [1, 0])],
  ];
  test.each(misfits)("%s", async (_, misfit) => {
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    expect(() => misfit(graph)).toThrow(/does not take/);
    await graph.close();
  });

  test.each([[[0]], [[1.5]], [[-1, -1]], [[NaN]], [[2 ** 31]], [[1, 1, 1, 1, 1]], [[2 ** 30, 2 ** 30]]])(
    "an input %j",
    async (lengths) => {
      const graph = new Graph(evaluator.backend, { maxTensors: 16 });
      expect(() => graph.input(...lengths)).toThrow(/There is no f32 tensor/);
      expect(() => graph.inputInt32(...lengths)).toThrow(/There is no i32 tensor/);
      await graph.close();
    },
  );

  test("a constant of another length, and a result past every memory", async () => {
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    expect(() => graph.constant(new Float32Array(3), 2)).toThrow(/has not 3 elements/);
    const long = 2 ** 30;
    expect(() => graph.repeat(graph.input(1), long, long)).toThrow(/does not take/);
    expect(() => graph.pad(graph.input(1), [long, long])).toThrow(/cannot return/);
    await graph.close();
  });

  test("a packed type keeps its blocks", async () => {
    const weights = allocateWeights(evaluator.backend, [{ name: "w", shape: [64, 6], type: "q8_0" }]);
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    const w = weights.get("w");
    expect(graph.slice(w, 0, 32, 32).shape).toEqual([32, 6, 1, 1]);
    expect(() => graph.slice(w, 0, 16, 32)).toThrow(/does not take/);
    expect(() => graph.reshape(w, 48, 8)).toThrow(/does not take/);
    expect(() => graph.permute(w, [1, 0, 2, 3])).toThrow(/does not take/);
    expect(() => graph.concat(w, w, 1)).toThrow(/does not take/);
    await graph.close();
    await weights.close();
  });
});
