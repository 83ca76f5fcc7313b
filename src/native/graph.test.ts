import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from "vitest";
import { MullError } from "../spec/errors.ts";
import { Backend } from "./backend.ts";
import { Graph } from "./graph.ts";
import { loadLibraries } from "./libraries.ts";
import type { Tensor } from "./tensor.ts";

let backend: Backend;
let graph: Graph;

beforeAll(() => {
  backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
});
afterAll(async () => backend.close());
beforeEach(() => {
  graph = new Graph(backend, { maxTensors: 4096 });
});
afterEach(async () => graph.close());

async function evaluate(input: Tensor, values: readonly number[], output: Tensor): Promise<number[]> {
  graph.finish(output);
  return [...(await graph.run(input, Float32Array.from(values), output))];
}

describe("operations", () => {
  test("matmul multiplies with the transposed weight", async () => {
    const x = graph.input(2, 3);
    // Rows [1 2], [3 4], [5 6]; every row with every row.
    const products = await evaluate(x, [1, 2, 3, 4, 5, 6], graph.matmul(x, x));
    expect(products).toEqual([5, 11, 17, 11, 25, 39, 17, 39, 61]);
  });

  test("add and mul repeat their second operand", async () => {
    const x = graph.input(2, 2);
    const row = graph.rows(x, 0, 1);
    expect(await evaluate(x, [1, 2, 3, 4], graph.add(graph.mul(x, row), row))).toEqual([2, 6, 4, 10]);
  });

  test("layerNorm brings rows to mean 0 and deviation 1", async () => {
    const x = graph.input(4, 1);
    const [first = 0, second = 0, third = 0, fourth = 0] = await evaluate(
      x,
      [1, 2, 3, 4],
      graph.layerNorm(x, 1e-6),
    );
    expect(first + second + third + fourth).toBeCloseTo(0, 5);
    expect(fourth).toBeCloseTo(1.5 / Math.sqrt(1.25), 4);
  });

  test("geluQuick is x * sigmoid(1.702 x)", async () => {
    const values = [-60, -3, -0.5, 0, 0.5, 3, 60];
    const x = graph.input(values.length);
    const results = await evaluate(x, values, graph.geluQuick(x));
    for (const [index, value] of values.entries()) {
      expect(results[index]).toBeCloseTo(value / (1 + Math.exp(-1.702 * value)), 5);
    }
  });

  test("rows, concatRows, permute and contiguous move what they say", async () => {
    const x = graph.input(2, 2);
    const swapped = graph.concatRows(graph.rows(x, 1, 1), graph.rows(x, 0, 1));
    const transposed = graph.contiguous(graph.permute(swapped, [1, 0, 2, 3]));
    expect(await evaluate(x, [1, 2, 3, 4], transposed)).toEqual([3, 1, 4, 2]);
  });

  test("squares cuts a picture in reading order", async () => {
    const image = graph.input(4, 2, 1);
    const squares = graph.squares(image, 2);
    expect(squares.shape).toEqual([4, 2, 1, 1]);
    expect(await evaluate(image, [1, 2, 3, 4, 5, 6, 7, 8], squares)).toEqual([1, 2, 5, 6, 3, 4, 7, 8]);
  });
});

/** Each of these would end the process if it reached ggml. */
describe("shapes that do not fit are errors", () => {
  const misfits: [string, () => unknown][] = [
    ["matmul", () => graph.matmul(graph.input(3, 2), graph.input(2, 3))],
    [
      "matmul of a transposed weight",
      () => graph.matmul(graph.permute(graph.input(3, 3), [1, 0, 2, 3]), graph.input(3)),
    ],
    ["add", () => graph.add(graph.input(3, 2), graph.input(2))],
    ["mul", () => graph.mul(graph.input(2), graph.input(4))],
    ["reshape", () => graph.reshape(graph.input(3, 2), 5)],
    ["reshape of a permuted tensor", () => graph.reshape(graph.permute(graph.input(3, 2), [1, 0, 2, 3]), 6)],
    ["permute", () => graph.permute(graph.input(3, 2), [0, 0, 1, 2])],
    ["rows", () => graph.rows(graph.input(3, 2), 1, 2)],
    ["concatRows", () => graph.concatRows(graph.input(3), graph.input(2))],
    ["softmax", () => graph.softmax(graph.permute(graph.input(3, 2), [1, 0, 2, 3]), 1)],
    [
      "flashAttention",
      () => graph.flashAttention(graph.input(8, 4, 2), graph.input(4, 4, 2), graph.input(4, 4, 2), 1),
    ],
    ["squares", () => graph.squares(graph.input(5, 4, 3), graph.input(2, 2, 3, 8))],
    ["squares of other channels", () => graph.squares(graph.input(4, 4, 1), graph.input(2, 2, 3, 8))],
    ["gelu", () => graph.gelu(graph.permute(graph.input(3, 2), [1, 0, 2, 3]))],
    ["finish", () => graph.finish(graph.permute(graph.input(3, 2), [1, 0, 2, 3]))],
  ];
  for (const [name, misfit] of misfits) {
    test(`in ${name}`, () => {
      expect(misfit).toThrow(MullError);
      expect(misfit).toThrow(/does not take/);
    });
  }

  test("more tensors than were promised", async () => {
    const small = new Graph(backend, { maxTensors: 2 });
    const x = small.input(2);
    small.add(x, x);
    expect(() => small.add(x, x)).toThrow(/cannot take one more/);
    await small.close();
  });

  test("values of another length than the input", async () => {
    const x = graph.input(2);
    const sum = graph.add(x, x);
    graph.finish(sum);
    await expect(graph.run(x, new Float32Array(3), sum)).rejects.toThrow(/does not take/);
  });
});

describe("run", () => {
  test("answers calls in their order and may be closed at any time", async () => {
    const x = graph.input(2);
    const double = graph.add(x, x);
    graph.finish(double);
    const runs = [1, 2, 3].map(async (value) => graph.run(x, Float32Array.of(value, value), double));
    expect(await Promise.all(runs)).toEqual([1, 2, 3].map((value) => Float32Array.of(2 * value, 2 * value)));
  });

  test("stops when it is aborted, and works again afterwards", async () => {
    const x = graph.input(512, 512);
    let y = x;
    for (let step = 0; step < 60; step++) y = graph.scale(graph.matmul(x, y), 0.01);
    graph.finish(y);
    const values = new Float32Array(512 * 512).fill(0.1);
    const controller = new AbortController();
    const running = graph.run(x, values, y, controller.signal);
    setTimeout(() => controller.abort(), 5);
    await expect(running).rejects.toMatchObject({ code: "aborted" });
    await expect(graph.run(x, values, y, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    const [first = 0] = await graph.run(x, new Float32Array(512 * 512), y);
    expect(first).toBe(0);
  });
});
