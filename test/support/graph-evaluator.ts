import { Backend } from "../../src/native/backend.ts";
import { Graph, type InputValues } from "../../src/native/graph.ts";
import { loadLibraries } from "../../src/native/libraries.ts";
import { type Shape, type Tensor, countElements, sameShape, toShape } from "../../src/native/tensor.ts";

/** Element of a tensor by its indices, fastest first; left out ones are 0. */
export type Elements = (i0: number, i1?: number, i2?: number, i3?: number) => number;

/** Elements of a tensor in plain order, for a reference in float64. */
export interface PlainTensor {
  shape: Shape;
  values: Float32Array;
  at: Elements;
}

/** Numbers between -2 and 2 that look random and are the same in every run. */
export function plainTensor(...lengths: number[]): PlainTensor {
  const shape = toShape(lengths);
  return wrap(
    shape,
    Float32Array.from({ length: countElements(shape) }, (_, index) => {
      const wave = Math.sin(index * 12.9898 + shape[0] * 78.233 + shape[1] * 3.7) * 43_758.5453;
      return 4 * (wave - Math.floor(wave)) - 2;
    }),
  );
}

export function wrap(shape: Shape, values: Float32Array): PlainTensor {
  const [n0, n1, n2] = shape;
  const at: Elements = (i0, i1 = 0, i2 = 0, i3 = 0) =>
    values[i0 + n0 * (i1 + n1 * (i2 + n2 * i3))] ?? Number.NaN;
  return { shape, values, at };
}

/** Every element of a shape by a formula. */
export function fill(
  shape: Shape,
  formula: (i0: number, i1: number, i2: number, i3: number) => number,
): number[] {
  const [n0, n1, n2] = shape;
  return Array.from({ length: countElements(shape) }, (_, index) =>
    formula(
      index % n0,
      Math.floor(index / n0) % n1,
      Math.floor(index / (n0 * n1)) % n2,
      Math.floor(index / (n0 * n1 * n2)),
    ),
  );
}

/** Runs small graphs on the CPU. */
export class GraphEvaluator {
  readonly backend: Backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });

  /** What `build` makes of its inputs. */
  async evaluate(
    inputs: readonly (PlainTensor | Int32Array)[],
    build: (graph: Graph, ...tensors: Tensor[]) => Tensor,
  ): Promise<PlainTensor> {
    const graph = new Graph(this.backend, { maxTensors: 64 });
    try {
      const tensors = inputs.map((input) =>
        input instanceof Int32Array ? graph.inputInt32(input.length) : graph.input(...input.shape),
      );
      const output = build(graph, ...tensors);
      graph.finish(output);
      const values = inputs.map((input, index): InputValues => {
        return [tensors[index] as Tensor, input instanceof Int32Array ? input : input.values];
      });
      const [result] = await graph.runAll(values, [output]);
      return wrap(output.shape, result);
    } finally {
      await graph.close();
    }
  }

  async close(): Promise<void> {
    await this.backend.close();
  }
}

/** How far results in float32 are from float64 where an operation does little more than one step. */
export const ROUNDING = 2e-6;

/**
 * How far a result is from a formula in float64, of the largest element or, if that is smaller, of 1. NaN where the
 * result has NaN and the formula a number, or another shape.
 */
export function largestDifference(
  result: PlainTensor,
  shape: readonly number[],
  formula: (i0: number, i1: number, i2: number, i3: number) => number,
): number {
  if (!sameShape(result.shape, toShape(shape))) return Number.NaN;
  const expected = fill(result.shape, formula);
  const largest = Math.max(1, ...expected.map(Math.abs));
  return (
    Math.max(...expected.map((value, index) => Math.abs((result.values[index] ?? NaN) - value))) / largest
  );
}
