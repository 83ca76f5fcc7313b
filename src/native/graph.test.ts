import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from "vitest";
import { MullError } from "../spec/errors.ts";
import { Backend } from "./backend.ts";
import { Graph, type InputValues } from "./graph.ts";
import { loadLibraries } from "./libraries.ts";
import type { Tensor } from "./tensor.ts";
import { allocateWeights } from "./weights.ts";

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

describe("runAll", () => {
  test("sets several inputs, in any order, and reads several outputs", async () => {
    const [x, y, order] = [graph.input(2, 2), graph.input(2, 2), graph.inputInt32(2)];
    const sum = graph.add(x, y);
    const swapped = graph.getRows(sum, order);
    graph.finish(swapped, sum);
    const values = [
      Float32Array.of(1, 2, 3, 4),
      Float32Array.of(10, 20, 30, 40),
      Int32Array.of(1, 0),
    ] as const;
    const [first, second] = await graph.runAll(
      [
        [order, values[2]],
        [y, values[1]],
        [x, values[0]],
      ],
      [sum, swapped],
    );
    expect([...first]).toEqual([11, 22, 33, 44]);
    expect([...second]).toEqual([33, 44, 11, 22]);
  });

  test("an output that is a view keeps its numbers while the graph goes on", async () => {
    const x = graph.input(64);
    const middle = graph.reshape(graph.scale(x, 2), 8, 8);
    let end = graph.matmul(middle, middle);
    for (let step = 0; step < 4; step++) end = graph.add(graph.scale(end, 3), graph.scale(end, -3));
    graph.finish(middle, end);
    const values = Float32Array.from({ length: 64 }, (_, index) => index + 1);
    const [kept, last] = await graph.runAll([[x, values]], [middle, end]);
    expect([...kept]).toEqual(Array.from(values, (value) => 2 * value));
    expect([...last]).toEqual(Array.from({ length: 64 }, () => 0));
  });

  test("constants are the same in every run, also where their memory could be used again", async () => {
    const x = graph.input(4);
    const values = Float32Array.of(1, 2, 3, 4);
    const constant = graph.constant(values, 4);
    values.fill(0);
    let y = graph.add(graph.scale(constant, 1), x);
    for (let step = 0; step < 5; step++) y = graph.scale(graph.add(y, x), 1);
    graph.finish(y);
    for (const number of [0, 1, -7]) {
      const result = await graph.run(x, new Float32Array(4).fill(number), y);
      expect([...result]).toEqual([1, 2, 3, 4].map((value) => value + 6 * number));
    }
  });

  test("an input, a part of one and an unused one may be outputs", async () => {
    const [x, unused] = [graph.input(2, 2), graph.input(3)];
    const part = graph.rows(x, 1, 1);
    graph.finish(x, part);
    const [whole, end] = await graph.runAll(
      [
        [x, Float32Array.of(1, 2, 3, 4)],
        [unused, new Float32Array(3)],
      ],
      [x, part],
    );
    expect([...whole]).toEqual([1, 2, 3, 4]);
    expect([...end]).toEqual([3, 4]);
  });

  test("refuses inputs that are missing, there twice, of another type or none at all", async () => {
    const [x, order] = [graph.input(2), graph.inputInt32(2)];
    const sum = graph.add(x, x);
    graph.finish(sum);
    const [numbers, integers] = [new Float32Array(2), new Int32Array(2)];
    const run = async (...inputs: InputValues[]): Promise<unknown> => graph.runAll(inputs, [sum]);
    await expect(run([x, numbers])).rejects.toThrow(/lacks 1 of/);
    await expect(run()).rejects.toThrow(/lacks 2 of/);
    await expect(run([x, numbers], [x, numbers])).rejects.toThrow(/does not take/);
    await expect(run([x, numbers], [order, numbers])).rejects.toThrow(/does not take/);
    await expect(run([x, integers], [order, integers])).rejects.toThrow(/does not take/);
    await expect(run([x, numbers], [order, integers], [sum, numbers])).rejects.toThrow(/does not take/);
    await expect(run([x, numbers], [order, integers])).resolves.toHaveLength(1);
  });

  test("refuses outputs that were not promised", async () => {
    const x = graph.input(2);
    const middle = graph.add(x, x);
    const end = graph.add(middle, x);
    graph.finish(end);
    await expect(graph.run(x, new Float32Array(2), middle)).rejects.toThrow(/without such an output/);
  });

  test("runs between finish and close, and can be closed twice", async () => {
    const other = new Graph(backend, { maxTensors: 8 });
    const x = other.input(2);
    const y = other.add(x, x);
    await expect(other.run(x, new Float32Array(2), y)).rejects.toThrow(/after it is finished/);
    other.finish(y);
    expect(() => other.finish(y)).toThrow(MullError);
    expect(() => other.add(x, x)).toThrow(/finished graph/);
    await other.close();
    await other.close();
    await expect(other.run(x, new Float32Array(2), y)).rejects.toThrow(/until it is closed/);
  });

  test("more weights than tensors", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `w${index}`);
    const weights = allocateWeights(
      backend,
      names.map((name) => ({ name, shape: [2], type: "f32" as const })),
    );
    for (const name of names) backend.api.tensorSet(weights.get(name).pointer, Float32Array.of(1, 2), 0, 8);
    const small = new Graph(backend, { maxTensors: 39 });
    let sum = weights.get("w0");
    for (const name of names.slice(1)) sum = small.add(sum, weights.get(name));
    small.finish(sum);
    const [result] = await small.runAll([], [sum]);
    expect([...result]).toEqual([40, 80]);
    await small.close();
    await weights.close();
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
