import { TENSOR_TYPES } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";
import { GraphTensors } from "./graph-tensors.ts";
import {
  type Shape,
  type Tensor,
  countElements,
  denseStrides,
  formatShape,
  isCount,
  isPossible,
  requireShape,
  sameShape,
  toShape,
} from "./tensor.ts";

/** Types that an operation can read element by element, and that `cast` converts between. */
type FloatType = "f32" | "f16" | "bf16";
const FLOATS: ReadonlySet<string> = new Set<FloatType>(["f32", "f16", "bf16"]);
/** `ggml_permute` keeps strides in 32 bits. */
const LONGEST_STRIDE = 2 ** 31;

/** Operations that move elements and leave them as they are. */
export abstract class GraphShapes extends GraphTensors {
  /** The same elements under another shape of as many. Moves no data. */
  reshape(x: Tensor, ...lengths: number[]): Tensor {
    const shape = toShape(lengths);
    const fits = isPossible(x.type, lengths) && countElements(shape) === countElements(x.shape);
    requireShape(fits && x.contiguous, `reshape to ${formatShape(lengths)}`, x);
    if (sameShape(shape, x.shape)) return x;
    return this.view(x, shape, denseStrides(x.type, shape), () =>
      this.ggml.reshape4d(this.context, x.pointer, ...shape),
    );
  }

  /** Dimension i of x becomes dimension `axes[i]` of the result. Moves no data. */
  permute(x: Tensor, axes: Shape): Tensor {
    const isOrder = axes.toSorted((a, b) => a - b).every((axis, index) => axis === index);
    // A packed type has its blocks along the first dimension.
    requireShape(isOrder && (TENSOR_TYPES[x.type].blockSize === 1 || axes[0] === 0), "permute", x);
    const shape = reorder(x.shape, axes);
    const strides = reorder(x.strides, axes);
    // Where only dimensions of length 1 change places, the elements stay in order.
    const moved = axes.filter((_, axis) => x.shape[axis as 0] > 1);
    if (x.contiguous && moved.every((axis, index) => index === 0 || axis > (moved[index - 1] ?? 0))) {
      return this.reshape(x, ...shape);
    }
    const isShort = strides.every((stride, axis) => stride < LONGEST_STRIDE || shape[axis as 0] === 1);
    requireShape(isShort, "permute, which takes up to 2 GiB,", x);
    return this.view(x, shape, strides, () => this.ggml.permute(this.context, x.pointer, ...axes));
  }

  /** Copies a permuted or sliced tensor into plain order; one that is in plain order is returned as it is. */
  contiguous(x: Tensor): Tensor {
    requireShape(FLOATS.has(x.type), "contiguous", x);
    if (x.contiguous) return x;
    return this.dense(x.shape, () => this.ggml.cont(this.context, x.pointer), x.type);
  }

  /** The same numbers in another precision: [same shape]. */
  cast(x: Tensor, type: FloatType): Tensor {
    requireShape(FLOATS.has(x.type) && FLOATS.has(type), `cast to ${type}`, x);
    if (x.type === type) return x;
    return this.dense(x.shape, () => this.ggml.cast(this.context, x.pointer, TENSOR_TYPES[type].id), type);
  }

  /** `count` elements along dimension `axis`, from index `start` on. Moves no data. Rows of x must be contiguous. */
  slice(x: Tensor, axis: number, start: number, count: number): Tensor {
    const length = x.shape[axis as 0] as number | undefined;
    const inside = isCount(start, 0) && isCount(count, 1) && length !== undefined && start + count <= length;
    const { blockSize } = TENSOR_TYPES[x.type];
    const whole = axis !== 0 || (start % blockSize === 0 && count % blockSize === 0);
    requireShape(inside && whole && x.rowsContiguous, `slice ${start} to ${start + count} of ${axis}`, x);
    if (count === length) return x;
    const shape = x.shape.with(axis, count) as unknown as Shape;
    const strides = closeSingleDimensions(x, shape);
    const offset = (axis === 0 ? start / blockSize : start) * x.strides[axis as 0];
    const [, ...outerStrides] = strides;
    return this.view(x, shape, strides, () =>
      this.ggml.view4d(this.context, x.pointer, ...shape, ...outerStrides, offset),
    );
  }

  /** `count` rows, from row `start` on, of every matrix in x: [columns, count, …]. Moves no data. */
  rows(x: Tensor, start: number, count: number): Tensor {
    return this.slice(x, 1, start, count);
  }

  /**
   * Rows by their indices, in any order and any number of times, unpacked to float32. The run that brings an index
   * that is not below `rows` fails.
   *
   * @param x [columns, rows, depth, batch] of any type
   * @param indices int32 input or constant [count, depth, batch], or a slice or reshape of one
   * @returns [columns, count, depth, batch]
   */
  getRows(x: Tensor, indices: Tensor): Tensor {
    const [columns, rows, depth, batch] = x.shape;
    const [count, indexDepth, indexBatch, rest] = indices.shape;
    const fits = indexDepth === depth && indexBatch === batch && rest === 1;
    const source = this.inputs.get(indices.root);
    const known = source !== undefined && indices.type === "i32" && indices.rowsContiguous;
    requireShape(fits && known && x.type !== "i32" && x.rowsContiguous, "getRows", x, indices);
    source.indexLimit = Math.min(source.indexLimit, rows);
    if (source.values instanceof Int32Array) requireIndices(source.values, source.indexLimit);
    return this.dense([columns, count, depth, batch], () =>
      this.ggml.getRows(this.context, x.pointer, indices.pointer),
    );
  }

  /** a, then b, along dimension `axis`; all other lengths are equal, and so are the types. */
  concat(a: Tensor, b: Tensor, axis: number): Tensor {
    const fits = a.shape.every((length, index) => index === axis || length === b.shape[index]);
    const plain = FLOATS.has(a.type) && a.type === b.type && [0, 1, 2, 3].includes(axis);
    requireShape(fits && plain, `concat along ${axis}`, a, b);
    const shape = a.shape.with(axis, a.shape[axis as 0] + b.shape[axis as 0]) as unknown as Shape;
    return this.dense(shape, () => this.ggml.concat(this.context, a.pointer, b.pointer, axis), a.type);
  }

  /** The rows of a, then those of b: [columns, a rows + b rows, …]. */
  concatRows(a: Tensor, b: Tensor): Tensor {
    return this.concat(a, b, 1);
  }

  /** x again and again, until it fills a shape whose lengths are multiples of its own. */
  repeat(x: Tensor, ...lengths: number[]): Tensor {
    const shape = toShape(lengths);
    const fits =
      isPossible("f32", lengths) && x.shape.every((length, axis) => shape[axis as 0] % length === 0);
    const name = `repeat to ${formatShape(lengths)}`;
    requireShape(fits && x.type === "f32" && x.rowsContiguous, name, x);
    if (sameShape(shape, x.shape)) return x;
    return this.dense(shape, () => this.ggml.repeat4d(this.context, x.pointer, ...shape));
  }

  /** Zeros around x: for each dimension, the first one first, how many before and how many after. */
  pad(x: Tensor, ...amounts: (readonly [before: number, after: number])[]): Tensor {
    const whole = amounts.length <= 4 && amounts.flat().every((amount) => isCount(amount, 0));
    requireShape(whole && x.type === "f32" && x.rowsContiguous, "pad", x);
    const [first = [0, 0], second = [0, 0], third = [0, 0], fourth = [0, 0]] = amounts;
    const all = [first, second, third, fourth] as const;
    const grow = (axis: 0 | 1 | 2 | 3): number => x.shape[axis] + all[axis][0] + all[axis][1];
    return this.dense([grow(0), grow(1), grow(2), grow(3)], () =>
      this.ggml.padExt(this.context, x.pointer, ...first, ...second, ...third, ...fourth),
    );
  }
}

/** @throws MullError `internal` */
export function requireIndices(indices: Int32Array, limit: number): void {
  const wrong = indices.find((index) => index < 0 || index >= limit);
  if (wrong !== undefined) throw new MullError("internal", `There is no row ${wrong} among ${limit} rows.`);
}

function reorder(of: Shape, axes: Shape): Shape {
  const result: [number, number, number, number] = [1, 1, 1, 1];
  for (const [from, to] of axes.entries()) result[to as 0] = of[from as 0];
  return result;
}

/** Strides of a slice. A dimension of length 1 has no step, so its stride can be that of a tensor without gaps. */
function closeSingleDimensions(x: Tensor, shape: Shape): Shape {
  const strides: [number, number, number, number] = [...x.strides];
  for (const axis of [1, 2, 3] as const) {
    if (shape[axis] > 1) continue;
    strides[axis] =
      axis === 1 ? denseStrides(x.type, shape)[1] : strides[(axis - 1) as 0] * shape[(axis - 1) as 0];
  }
  return strides;
}
