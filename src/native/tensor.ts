import { MullError } from "../spec/errors.ts";
import { TENSOR_TYPES, type TensorTypeName } from "../gguf/tensor-types.ts";
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
  /** Bytes from one element (of a packed type: one block) to the next, along each dimension. */
  readonly strides: Shape;
  /** The tensor in whose memory this one lies: itself, or the one that it is a view of. */
  readonly root: TensorPointer;
  /** No gaps and no permutation: the elements follow each other in the order of `shape`. */
  readonly contiguous: boolean;
  /** The elements of one row follow each other. Weaker than `contiguous`. */
  readonly rowsContiguous: boolean;
}

/** ggml counts the elements along a dimension in 32 bits in many places. */
const LONGEST = 2 ** 31 - 1;
/** 4 PiB: past every memory, and all products stay exact. */
const MOST_ELEMENTS = 2 ** 50;

/** A tensor with its own memory. */
export function denseTensor(pointer: TensorPointer, type: TensorTypeName, shape: Shape): Tensor {
  return describe(pointer, pointer, type, shape, denseStrides(type, shape));
}

/** A tensor that shows memory of another. */
export function viewTensor(of: Tensor, pointer: TensorPointer, shape: Shape, strides: Shape): Tensor {
  return describe(pointer, of.root, of.type, shape, strides);
}

function describe(
  pointer: TensorPointer,
  root: TensorPointer,
  type: TensorTypeName,
  shape: Shape,
  strides: Shape,
): Tensor {
  return {
    pointer,
    root,
    type,
    shape,
    strides,
    contiguous: sameShape(strides, denseStrides(type, shape)),
    rowsContiguous: strides[0] === TENSOR_TYPES[type].blockBytes,
  };
}

/** Strides of a tensor without gaps. */
export function denseStrides(type: TensorTypeName, shape: Shape): Shape {
  const { blockBytes, blockSize } = TENSOR_TYPES[type];
  const rowBytes = (shape[0] / blockSize) * blockBytes;
  return [blockBytes, rowBytes, rowBytes * shape[1], rowBytes * shape[1] * shape[2]];
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

/** Whether a tensor of this type can have these one to four lengths. */
export function isPossible(type: TensorTypeName, lengths: readonly number[]): boolean {
  return (
    lengths.length >= 1 &&
    lengths.length <= 4 &&
    lengths.every((length) => isCount(length, 1)) &&
    countElements(toShape(lengths)) <= MOST_ELEMENTS &&
    (lengths[0] ?? 0) % TENSOR_TYPES[type].blockSize === 0
  );
}

/** Whether a number can be passed to ggml as an `int` from `least` on. */
export function isCount(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least && value <= LONGEST;
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
  const operands = tensors.map(formatTensor).join(" and ");
  throw new MullError("internal", `${operation} does not take ${operands}.`);
}

function formatTensor({ type, shape, contiguous, rowsContiguous }: Tensor): string {
  const order = contiguous ? "" : rowsContiguous ? " with gaps between rows" : " permuted";
  return `${type} ${formatShape(shape)}${order}`;
}
