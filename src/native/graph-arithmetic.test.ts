import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GraphEvaluator,
  type PlainTensor,
  ROUNDING,
  largestDifference,
  plainTensor,
} from "../../test/support/graph-evaluator.ts";
import { Graph } from "./graph.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

const a = plainTensor(7, 5, 3, 2);

describe("element by element", () => {
  const operations = {
    add: (x: number, y: number) => x + y,
    sub: (x: number, y: number) => x - y,
    mul: (x: number, y: number) => x * y,
    div: (x: number, y: number) => x / y,
  };
  for (const [name, formula] of Object.entries(operations)) {
    test.each([[[7, 5, 3, 2]], [[7]], [[1, 5]], [[1, 1, 3]], [[7, 1, 1, 2]], [[1, 1, 1, 1]]])(
      `${name} repeats a second operand %j`,
      async (lengths) => {
        const b = plainTensor(...lengths);
        const [n0, n1, n2, n3] = b.shape;
        const result = await evaluator.evaluate([a, b], (graph, x, y) =>
          graph[name as keyof typeof operations](x, y),
        );
        expect(
          largestDifference(result, [7, 5, 3, 2], (i0, i1, i2, i3) =>
            formula(a.at(i0, i1, i2, i3), b.at(i0 % n0, i1 % n1, i2 % n2, i3 % n3)),
          ),
        ).toBeLessThan(ROUNDING);
      },
    );
  }

  test("scale, with and without a bias, and clamp", async () => {
    const scaled = await evaluator.evaluate([a], (graph, x) => graph.scale(x, -1.5));
    expect(largestDifference(scaled, a.shape, (...at) => -1.5 * a.at(...at))).toBeLessThan(ROUNDING);
    const moved = await evaluator.evaluate([a], (graph, x) => graph.scale(x, 2, -1));
    expect(largestDifference(moved, a.shape, (...at) => 2 * a.at(...at) - 1)).toBeLessThan(ROUNDING);
    const clamped = await evaluator.evaluate([a], (graph, x) => graph.clamp(x, -0.5, 1.25));
    expect(
      largestDifference(clamped, a.shape, (...at) => Math.min(Math.max(a.at(...at), -0.5), 1.25)),
    ).toBeLessThan(ROUNDING);
  });
});

describe("activations", () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const hardSigmoid = (x: number): number => Math.min(Math.max(x + 3, 0), 6) / 6;
  /** Abramowitz and Stegun 7.1.5, summed until it no longer changes. */
  const erf = (x: number): number => {
    let [sum, term] = [x, x];
    for (let n = 1; n < 200; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  };
  const wide: PlainTensor = plainTensor(33, 3);
  for (const [index, value] of wide.values.entries()) wide.values[index] = 2 * value;

  const operations: [
    name:
      | "gelu"
      | "geluErf"
      | "geluQuick"
      | "silu"
      | "relu"
      | "sigmoid"
      | "tanh"
      | "hardSwish"
      | "hardSigmoid"
      | "sqr",
    formula: (x: number) => number,
    tolerance?: number,
  ][] = [
    // ggml reads this one from a table of half-precision numbers.
    ["gelu", (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), 2e-3],
    ["geluErf", (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
    ["geluQuick", (x) => x * sigmoid(1.702 * x)],
    ["silu", (x) => x * sigmoid(x)],
    ["relu", (x) => Math.max(x, 0)],
    ["sigmoid", sigmoid],
    ["tanh", Math.tanh],
    ["hardSwish", (x) => x * hardSigmoid(x)],
    ["hardSigmoid", hardSigmoid],
    ["sqr", (x) => x * x],
  ];
  test.each(operations)("%s", async (name, formula, tolerance = ROUNDING) => {
    const result = await evaluator.evaluate([wide], (graph, x) => graph[name](x));
    expect(largestDifference(result, wide.shape, (...at) => formula(wide.at(...at)))).toBeLessThan(tolerance);
  });

  test("sqrt", async () => {
    const result = await evaluator.evaluate([wide], (graph, x) => graph.sqrt(graph.sqr(x)));
    expect(largestDifference(result, wide.shape, (...at) => Math.abs(wide.at(...at)))).toBeLessThan(ROUNDING);
  });

  test("swiglu of two tensors", async () => {
    const up = plainTensor(33, 3);
    const result = await evaluator.evaluate([wide, up], (graph, x, y) => graph.swiglu(x, y));
    expect(
      largestDifference(result, [33, 3], (...at) => wide.at(...at) * sigmoid(wide.at(...at)) * up.at(...at)),
    ).toBeLessThan(ROUNDING);
  });

  test.each(["first", "second"] as const)("swiglu of halves, the %s one through silu", async (gate) => {
    const x = plainTensor(10, 3, 2);
    const result = await evaluator.evaluate([x], (graph, t) => graph.swigluHalves(t, gate));
    expect(
      largestDifference(result, [5, 3, 2], (i0, i1, i2) => {
        const halves = [x.at(i0, i1, i2), x.at(i0 + 5, i1, i2)] as const;
        const [through, other] = gate === "first" ? halves : [halves[1], halves[0]];
        return through * sigmoid(through) * other;
      }),
    ).toBeLessThan(ROUNDING);
  });
});

describe("norms", () => {
  const row = (x: PlainTensor, i1: number, i2: number, i3: number): number[] =>
    Array.from({ length: x.shape[0] }, (_, i0) => x.at(i0, i1, i2, i3));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const weight = plainTensor(7);
  const bias = plainTensor(7, 1);

  test("layerNorm, also with weight and bias", async () => {
    const result = await evaluator.evaluate([a, weight, bias], (graph, x, w, b) =>
      graph.layerNorm(x, 1e-3, w, b),
    );
    expect(
      largestDifference(result, a.shape, (i0, i1, i2, i3) => {
        const values = row(a, i1, i2, i3);
        const variance = mean(values.map((value) => (value - mean(values)) ** 2));
        return (
          ((a.at(i0, i1, i2, i3) - mean(values)) / Math.sqrt(variance + 1e-3)) * weight.at(i0) + bias.at(i0)
        );
      }),
    ).toBeLessThan(ROUNDING);
  });

  test("rmsNorm, with and without weight", async () => {
    const rms = (i1: number, i2: number, i3: number): number =>
      Math.sqrt(mean(row(a, i1, i2, i3).map((value) => value ** 2)) + 1e-3);
    const plain = await evaluator.evaluate([a], (graph, x) => graph.rmsNorm(x, 1e-3));
    expect(largestDifference(plain, a.shape, (i0, ...rest) => a.at(i0, ...rest) / rms(...rest))).toBeLessThan(
      ROUNDING,
    );
    const weighted = await evaluator.evaluate([a, weight], (graph, x, w) => graph.rmsNorm(x, 1e-3, w));
    expect(
      largestDifference(
        weighted,
        a.shape,
        (i0, ...rest) => (a.at(i0, ...rest) / rms(...rest)) * weight.at(i0),
      ),
    ).toBeLessThan(ROUNDING);
  });
});

describe("matmul", () => {
  const product = (w: PlainTensor, x: PlainTensor): ((...at: [number, number, number, number]) => number) => {
    const [inputs, , depth, batch] = w.shape;
    return (i0, i1, i2, i3) => {
      const at = [Math.floor(i2 / (x.shape[2] / depth)), Math.floor(i3 / (x.shape[3] / batch))] as const;
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += w.at(i, i0, ...at) * x.at(i, i1, i2, i3);
      return sum;
    };
  };

  test.each([
    [
      [13, 5],
      [13, 7],
    ],
    [
      [13, 5],
      [13, 7, 3, 2],
    ],
    [
      [64, 33],
      [64, 1, 1, 5],
    ],
    [
      [13, 5, 2],
      [13, 7, 4, 3],
    ],
    [
      [13, 5, 2, 3],
      [13, 7, 2, 3],
    ],
  ])("of a weight %j and %j", async (weightShape, shape) => {
    const [w, x] = [plainTensor(...weightShape), plainTensor(...shape)];
    const result = await evaluator.evaluate([w, x], (graph, tw, tx) => graph.matmul(tw, tx));
    expect(largestDifference(result, [weightShape[1] ?? 1, ...shape.slice(1)], product(w, x))).toBeLessThan(
      5e-6,
    );
  });

  test("of rows with gaps between them", async () => {
    const [w, x] = [plainTensor(13, 5), plainTensor(13, 7, 1, 3)];
    const result = await evaluator.evaluate([w, x], (graph, tw, tx) =>
      graph.matmul(tw, graph.rows(tx, 1, 6)),
    );
    const whole = product(w, x);
    expect(
      largestDifference(result, [5, 6, 1, 3], (i0, i1, i2, i3) => whole(i0, i1 + 1, i2, i3)),
    ).toBeLessThan(5e-6);
  });

  test("a linear layer adds its bias to every row", async () => {
    const [w, x, bias] = [plainTensor(4, 3), plainTensor(4, 2, 1, 2), plainTensor(3)];
    const result = await evaluator.evaluate([w, x, bias], (graph, tw, tx, tb) => graph.linear(tx, tw, tb));
    const whole = product(w, x);
    expect(
      largestDifference(result, [3, 2, 1, 2], (i0, ...rest) => whole(i0, ...rest) + bias.at(i0)),
    ).toBeLessThan(5e-6);
  });
});

describe("operands that do not fit are errors", () => {
  const misfits: [string, (graph: Graph) => unknown][] = [
    ["sub", (g) => g.sub(g.input(3, 2), g.input(2))],
    ["div", (g) => g.div(g.input(3), g.inputInt32(3))],
    ["scale", (g) => g.scale(g.permute(g.input(3, 2), [1, 0, 2, 3]), 2)],
    ["clamp between NaN", (g) => g.clamp(g.input(3), NaN, 1)],
    ["clamp from high to low", (g) => g.clamp(g.input(3), 2, 1)],
    ["matmul of int32", (g) => g.matmul(g.inputInt32(3, 2), g.input(3))],
    ["matmul of too few matrices", (g) => g.matmul(g.input(3, 2, 2), g.input(3, 2, 3))],
    ["layerNorm of int32", (g) => g.layerNorm(g.inputInt32(3), 0)],
    ["layerNorm with a negative epsilon", (g) => g.layerNorm(g.input(3), -1)],
    ["layerNorm with a weight of another length", (g) => g.layerNorm(g.input(3), 0, g.input(2))],
    ["rmsNorm with NaN", (g) => g.rmsNorm(g.input(3), NaN)],
    ["sqr", (g) => g.sqr(g.permute(g.input(3, 2), [1, 0, 2, 3]))],
    ["silu of half precision", (g) => g.silu(g.cast(g.input(3), "f16"))],
    ["swiglu", (g) => g.swiglu(g.input(4), g.input(3))],
    ["swigluHalves of an odd row", (g) => g.swigluHalves(g.input(5), "first")],
  ];
  test.each(misfits)("%s", async (_, misfit) => {
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    expect(() => misfit(graph)).toThrow(/does not take/);
    await graph.close();
  });
});
