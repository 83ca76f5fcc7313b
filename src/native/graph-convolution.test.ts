import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GraphEvaluator,
  type PlainTensor,
  ROUNDING,
  largestDifference,
  plainTensor,
} from "../../test/support/graph-evaluator.ts";
import { Graph } from "./graph.ts";
import type { Pair, PoolOptions } from "./graph-convolution.ts";
import type { Tensor } from "./tensor.ts";

let evaluator: GraphEvaluator;

beforeAll(() => {
  evaluator = new GraphEvaluator();
});
afterAll(async () => evaluator.close());

interface Numbers {
  stride: readonly [number, number];
  padding: readonly [number, number];
  dilation: readonly [number, number];
}

const PLAIN: Numbers = { stride: [1, 1], padding: [0, 0], dilation: [1, 1] };

/** Offsets in the picture of a window's elements that are inside. */
function windowAt(
  [width, height]: readonly number[],
  [across, down]: readonly number[],
  { stride, padding, dilation }: Numbers,
  column: number,
  row: number,
): { x: number; y: number; kx: number; ky: number }[] {
  const elements = [];
  for (let ky = 0; ky < (down ?? 1); ky++) {
    for (let kx = 0; kx < (across ?? 1); kx++) {
      const x = column * stride[0] + kx * dilation[0] - padding[0];
      const y = row * stride[1] + ky * dilation[1] - padding[1];
      if (x >= 0 && x < (width ?? 0) && y >= 0 && y < (height ?? 0)) elements.push({ x, y, kx, ky });
    }
  }
  return elements;
}

function countWindows(length: number, size: number, axis: 0 | 1, numbers: Numbers): number {
  const { stride, padding, dilation } = numbers;
  return Math.floor((length + 2 * padding[axis] - dilation[axis] * (size - 1) - 1) / stride[axis]) + 1;
}

const cases: [string, number[], number[], Partial<Numbers>][] = [
  ["one window", [3, 3, 2], [3, 3, 2, 5], {}],
  ["stride 1", [7, 5, 3], [3, 2, 3, 4], {}],
  ["a kernel of 1", [7, 5, 3, 2], [1, 1, 3, 4], {}],
  ["stride and padding", [9, 8, 2, 3], [3, 3, 2, 4], { stride: [2, 2], padding: [1, 1] }],
  ["other numbers for width and height", [9, 8, 2], [3, 2, 2, 4], { stride: [1, 3], padding: [2, 0] }],
  ["dilation", [9, 8, 2], [3, 2, 2, 4], { dilation: [2, 3], padding: [1, 2] }],
];

describe("convolution", () => {
  const convolve =
    (x: PlainTensor, kernel: PlainTensor, numbers: Numbers, bias?: PlainTensor) =>
    (column: number, row: number, output: number, i3: number): number => {
      let sum = bias?.at(output) ?? 0;
      for (const { x: ix, y, kx, ky } of windowAt(x.shape, kernel.shape, numbers, column, row)) {
        for (let c = 0; c < x.shape[2]; c++) sum += x.at(ix, y, c, i3) * kernel.at(kx, ky, c, output);
      }
      return sum;
    };

  test.each(cases)("conv2d: %s", async (_, shape, kernelShape, some) => {
    const numbers = { ...PLAIN, ...some };
    const [x, kernel] = [plainTensor(...shape), plainTensor(...kernelShape)];
    const bias = plainTensor(kernel.shape[3]);
    const across = countWindows(x.shape[0], kernel.shape[0], 0, numbers);
    const down = countWindows(x.shape[1], kernel.shape[1], 1, numbers);
    const planes = await evaluator.evaluate([x, kernel], (graph, tx, tk) => graph.conv2d(tx, tk, numbers));
    const expected = convolve(x, kernel, numbers);
    expect(largestDifference(planes, [across, down, kernel.shape[3], x.shape[3]], expected)).toBeLessThan(
      5e-6,
    );
    const rows = await evaluator.evaluate([x, kernel, bias], (graph, tx, tk, tb) =>
      graph.conv2dRows(tx, tk, { ...numbers, bias: tb }),
    );
    const biased = convolve(x, kernel, numbers, bias);
    expect(
      largestDifference(rows, [kernel.shape[3], across, down, x.shape[3]], (i0, i1, i2, i3) =>
        biased(i1, i2, i0, i3),
      ),
    ).toBeLessThan(5e-6);
  });

  test("conv2d with a kernel in half precision", async () => {
    const [x, kernel] = [plainTensor(9, 8, 2), plainTensor(3, 3, 2, 4)];
    const result = await evaluator.evaluate([x, kernel], (graph, tx, tk) =>
      graph.conv2d(tx, graph.cast(tk, "f16"), { padding: 1 }),
    );
    expect(
      largestDifference(result, [9, 8, 4], convolve(x, kernel, { ...PLAIN, padding: [1, 1] })),
    ).toBeLessThan(2e-3);
  });

  interface Options {
    stride?: number;
    padding?: number;
    dilation?: number;
  }

  test.each<[string, Options]>([
    ["as Whisper's first", { padding: 1 }],
    ["as Whisper's second", { stride: 2, padding: 1 }],
    ["with dilation", { dilation: 3, stride: 2 }],
  ])("conv1d: %s", async (_, options) => {
    const [x, kernel, bias] = [plainTensor(17, 4, 1, 2), plainTensor(3, 4, 6), plainTensor(6)];
    const { stride = 1, padding = 0, dilation = 1 } = options;
    const numbers: Numbers = { stride: [stride, 1], padding: [padding, 0], dilation: [dilation, 1] };
    const count = countWindows(17, 3, 0, numbers);
    const expected = (i0: number, output: number, _i2: number, i3: number): number => {
      let sum = bias.at(output);
      for (const { x: at, kx } of windowAt([17, 1], [3, 1], numbers, i0, 0)) {
        for (let c = 0; c < 4; c++) sum += x.at(at, c, 0, i3) * kernel.at(kx, c, output);
      }
      return sum;
    };
    const planes = await evaluator.evaluate([x, kernel, bias], (graph, tx, tk, tb) =>
      graph.conv1d(tx, tk, { ...options, bias: tb }),
    );
    expect(largestDifference(planes, [count, 6, 1, 2], expected)).toBeLessThan(5e-6);
    const rows = await evaluator.evaluate([x, kernel, bias], (graph, tx, tk, tb) =>
      graph.conv1dRows(tx, tk, { ...options, bias: tb }),
    );
    expect(
      largestDifference(rows, [6, count, 1, 2], (i0, i1, i2, i3) => expected(i1, i0, i2, i3)),
    ).toBeLessThan(5e-6);
  });

  test.each<[string, Options]>([
    ["keeps the size with padding", { padding: 1 }],
    ["halves it with stride 2", { padding: 1, stride: 2 }],
    ["with dilation", { dilation: 2 }],
  ])("depthwiseConv2d %s", async (_, options) => {
    const [x, kernel, bias] = [plainTensor(7, 9, 5, 2), plainTensor(3, 3, 1, 5), plainTensor(5)];
    const { stride = 1, padding = 0, dilation = 1 } = options;
    const numbers: Numbers = {
      stride: [stride, stride],
      padding: [padding, padding],
      dilation: [dilation, dilation],
    };
    const result = await evaluator.evaluate([x, kernel, bias], (graph, tx, tk, tb) =>
      graph.depthwiseConv2d(tx, tk, { ...options, bias: tb }),
    );
    const shape = [countWindows(7, 3, 0, numbers), countWindows(9, 3, 1, numbers), 5, 2];
    expect(
      largestDifference(result, shape, (column, row, channel, i3) =>
        windowAt(x.shape, kernel.shape, numbers, column, row).reduce(
          (sum, at) => sum + x.at(at.x, at.y, channel, i3) * kernel.at(at.kx, at.ky, 0, channel),
          bias.at(channel),
        ),
      ),
    ).toBeLessThan(ROUNDING);
  });

  test("squares, by their side and by a kernel, of several pictures", async () => {
    const x = plainTensor(6, 4, 3, 2);
    const build = [
      (graph: Graph, t: Tensor) => graph.squares(t, 2),
      (graph: Graph, t: Tensor) => graph.squares(t, graph.constant(new Float32Array(12), 2, 2, 3, 1)),
    ];
    for (const squares of build) {
      const result = await evaluator.evaluate([x], squares);
      expect(
        largestDifference(result, [12, 3, 2, 2], (i0, i1, i2, i3) =>
          x.at(2 * i1 + (i0 % 2), 2 * i2 + (Math.floor(i0 / 2) % 2), Math.floor(i0 / 4), i3),
        ),
      ).toBeLessThan(ROUNDING);
    }
  });
});

describe("pooling", () => {
  const x = plainTensor(9, 7, 3, 2);

  test.each<["average" | "max", PoolOptions]>([
    ["average", { window: 2 }],
    ["max", { window: 2 }],
    ["average", { window: [9, 7] }],
    ["average", { window: 3, stride: 2, padding: 1 }],
    ["max", { window: [3, 2], stride: [1, 2], padding: [2, 1] }],
  ])("pool2d %s of %j", async (kind, options) => {
    const result = await evaluator.evaluate([x], (graph, t) => graph.pool2d(t, kind, options));
    const both = (value: Pair): readonly [number, number] =>
      typeof value === "number" ? [value, value] : value;
    const size = both(options.window);
    const { stride = size, padding = 0 } = options;
    const numbers: Numbers = { ...PLAIN, stride: both(stride), padding: both(padding) };
    const shape = [countWindows(9, size[0], 0, numbers), countWindows(7, size[1], 1, numbers), 3, 2];
    expect(
      largestDifference(result, shape, (column, row, channel, i3) => {
        const values = windowAt(x.shape, size, numbers, column, row).map((at) =>
          x.at(at.x, at.y, channel, i3),
        );
        if (kind === "max") return Math.max(...values);
        return values.reduce((sum, value) => sum + value, 0) / (size[0] * size[1]);
      }),
    ).toBeLessThan(ROUNDING);
  });

  test("pool1d leaves all other dimensions as they are, and the end that fills no window out", async () => {
    const result = await evaluator.evaluate([x], (graph, t) => graph.pool1d(t, "average", 2));
    expect(
      largestDifference(
        result,
        [4, 7, 3, 2],
        (i0, ...at) => (x.at(2 * i0, ...at) + x.at(2 * i0 + 1, ...at)) / 2,
      ),
    ).toBeLessThan(ROUNDING);
    const sliding = await evaluator.evaluate([x], (graph, t) => graph.pool1d(t, "max", 3, 1));
    expect(
      largestDifference(sliding, [7, 7, 3, 2], (i0, ...at) =>
        Math.max(x.at(i0, ...at), x.at(i0 + 1, ...at), x.at(i0 + 2, ...at)),
      ),
    ).toBeLessThan(ROUNDING);
  });
});

describe("operands that do not fit are errors", () => {
  const transposed = (g: Graph): Tensor => g.permute(g.input(4, 4, 3), [1, 0, 2, 3]);
  const misfits: [string, (graph: Graph) => unknown][] = [
    ["squares of no whole number", (g) => g.squares(g.input(5, 4, 3), 2)],
    ["squares of a transposed picture", (g) => g.squares(transposed(g), 2)],
    ["conv2d of other channels", (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 2, 5))],
    ["conv2d of a picture smaller than the kernel", (g) => g.conv2d(g.input(2, 2, 3), g.input(3, 3, 3, 5))],
    ["conv2d with stride 0", (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 3, 5), { stride: 0 })],
    ["conv2d with half a step", (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 3, 5), { stride: 0.5 })],
    [
      "conv2d padded by a whole kernel",
      (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 3, 5), { padding: 2 }),
    ],
    [
      "conv2d with dilation past the end",
      (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 3, 5), { dilation: 4 }),
    ],
    [
      "conv2d with another bias",
      (g) => g.conv2d(g.input(4, 4, 3), g.input(2, 2, 3, 5), { bias: g.input(4) }),
    ],
    ["conv2d of a transposed picture", (g) => g.conv2d(transposed(g), g.input(2, 2, 3, 5))],
    ["conv2d with a transposed kernel", (g) => g.conv2d(g.input(4, 4, 4), transposed(g))],
    ["conv1d of other channels", (g) => g.conv1d(g.input(9, 4), g.input(3, 5, 6))],
    ["conv1d of pictures", (g) => g.conv1d(g.input(9, 4, 2), g.input(3, 4, 6))],
    ["conv1d with two strides", (g) => g.conv1d(g.input(9, 4), g.input(3, 4, 6), { stride: [1, 2] })],
    ["depthwiseConv2d of other channels", (g) => g.depthwiseConv2d(g.input(4, 4, 3), g.input(2, 2, 1, 4))],
    ["depthwiseConv2d of a transposed picture", (g) => g.depthwiseConv2d(transposed(g), g.input(2, 2, 1, 3))],
    ["pool2d past the end", (g) => g.pool2d(g.input(4, 4), "average", { window: 5 })],
    ["pool2d with stride 0", (g) => g.pool2d(g.input(4, 4), "average", { window: 2, stride: 0 })],
    ["pool2d padded by a whole window", (g) => g.pool2d(g.input(4, 4), "max", { window: 2, padding: 2 })],
    ["pool1d of a transposed matrix", (g) => g.pool1d(transposed(g), "max", 2)],
    ["interpolate to nothing", (g) => g.interpolate(g.input(4, 4), 0, 4, { filter: "bilinear" })],
    ["interpolate to fractions", (g) => g.interpolate(g.input(4, 4), 1.5, 4, { filter: "bilinear" })],
    ["interpolate of a transposed picture", (g) => g.interpolate(transposed(g), 2, 2, { filter: "bicubic" })],
    [
      "interpolate with an antialias that there is not",
      (g) => g.interpolate(g.input(4, 4), 2, 2, { filter: "bicubic", antialias: true }),
    ],
  ];
  test.each(misfits)("%s", async (_, misfit) => {
    const graph = new Graph(evaluator.backend, { maxTensors: 16 });
    expect(() => misfit(graph)).toThrow(/does not take/);
    await graph.close();
  });
});
