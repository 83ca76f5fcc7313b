import { MullError } from "../spec/errors.ts";
import type { TensorTypeName } from "../gguf/tensor-types.ts";
import type { TensorPointer } from "./ggml.ts";

/**
 * Lengths in ggml's order, fastest first, always four: [columns, rows, …]. A matrix of 576 rows and 1024 columns is
 * [1024, 576, 1, 1]; a linear layer's weight is [inputs, outputs, 1, 1].
 */
export type Shape = readonly [number, number, number, number];

/** A tensor of a graph or of a set of weights. It describes; the data lies in a buffer of the backend. */
export interface Tensor {
  readonly pointer: TensorPointer;
  readonly type: TensorTypeName;
  readonly shape: Shape;
  /** No gaps and no permutation: the elements follow each other in the order of `shape`. */
  readonly contiguous: boolean;
  /** The elements of one row follow each other. Weaker than `contiguous`. */
  readonly rowsContiguous: boolean;
}

/** Fills up to four dimensions with ones. */
export function toShape(lengths: readonly number[]): Shape {
  const [columns = 1, rows = 1, third = 1, fourth = 1] = lengths;
  return [columns, rows, third, fourth];
}

export function countElements(shape: Shape): number {
  return shape[0] * shape[1] * shape[2] * shape[3];
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.every((length, index) => length === b[index]);
}

/** "[1024, 576]" */
export function formatShape(shape: readonly number[]): string {
  const used = shape.findLastIndex((length) => length !== 1);
  return `[${shape.slice(0, Math.max(used + 1, 1)).join(", ")}]`;
}

/**
 * A shape rule of an operation. ggml itself would abort the process.
 * @throws MullError `internal`: whoever builds a graph checks the model file first
 */
export function requireShape(holds: boolean, operation: string, ...tensors: Tensor[]): asserts holds {
  if (holds) return;
  const operands = tensors.map(({ shape, type }) => `${type} ${formatShape(shape)}`).join(" and ");
  throw new MullError("internal", `${operation} does not take ${operands}.`);
}
