import { MullError } from "../spec/errors.ts";
import { TENSOR_TYPES, tensorBytes } from "../gguf/tensor-types.ts";
import type { Backend } from "./backend.ts";
import type { ContextPointer, GraphPointer, TensorPointer } from "./ggml.ts";
import type { GraphAllocatorPointer } from "./ggml-alloc.ts";
import { type Shape, type Tensor, countElements, requireShape, sameShape, toShape } from "./tensor.ts";

const F32_DENSE = { type: "f32", contiguous: true, rowsContiguous: true } as const;

/** `enum ggml_op_pool` */
const POOL_AVERAGE = 1;

export interface GraphOptions {
  /** Most tensors that will be made, inputs and views included. */
  maxTensors: number;
}

/**
 * A computation on a backend: make inputs, combine them, `finish` once, `run` often.
 *
 * Every operation checks types and shapes here, because ggml aborts the process on a wrong one. All results are
 * float32. Shapes are in ggml's order, fastest first (`Tensor`).
 */
export class Graph {
  /** True where `flashAttention` computes in float32. Kernels of GPUs would round keys and values to half precision. */
  readonly hasExactFlashAttention: boolean;
  readonly #backend: Backend;
  readonly #context: ContextPointer;
  readonly #maxTensors: number;
  readonly #graph: GraphPointer;
  readonly #allocator: GraphAllocatorPointer;
  #tensorCount = 0;
  #multiplications = 0;
  #finished = false;

  constructor(backend: Backend, { maxTensors }: GraphOptions) {
    const { ggml, alloc } = backend;
    this.hasExactFlashAttention = backend.isCpu;
    this.#backend = backend;
    this.#maxTensors = maxTensors;
    const context = ggml.init({
      mem_size: maxTensors * ggml.tensorOverhead() + ggml.graphOverheadCustom(maxTensors, false),
      mem_buffer: null,
      no_alloc: true,
    });
    if (context === null) throw outOfMemory(backend);
    const allocator = alloc.gallocrNew(backend.bufferType);
    if (allocator === null) {
      ggml.free(context);
      throw outOfMemory(backend);
    }
    this.#context = context;
    this.#allocator = allocator;
    this.#graph = ggml.newGraphCustom(context, maxTensors, false);
  }

  /** A float32 tensor that `run` fills. */
  input(...lengths: number[]): Tensor {
    const shape = toShape(lengths);
    const tensor = this.#dense(shape, () =>
      this.#ggml.newTensor4d(this.#context, TENSOR_TYPES.f32.id, ...shape),
    );
    this.#ggml.setInput(tensor.pointer);
    return tensor;
  }

  /** a + b; b is repeated along dimensions in which a is a multiple of it. */
  add(a: Tensor, b: Tensor): Tensor {
    requireShape(isRepeatable(a, b), "add", a, b);
    return this.#dense(a.shape, () => this.#ggml.add(this.#context, a.pointer, b.pointer));
  }

  /** a * b, element by element; b is repeated as in `add`. */
  mul(a: Tensor, b: Tensor): Tensor {
    requireShape(isRepeatable(a, b), "mul", a, b);
    return this.#dense(a.shape, () => this.#ggml.mul(this.#context, a.pointer, b.pointer));
  }

  /** x times a number. */
  scale(x: Tensor, factor: number): Tensor {
    requireShape(x.type === "f32" && x.contiguous, "scale", x);
    return this.#dense(x.shape, () => this.#ggml.scale(this.#context, x.pointer, factor));
  }

  /** weight [inputs, outputs, …], x [inputs, rows, …] → [outputs, rows, …]: x times the transposed weight. */
  matmul(weight: Tensor, x: Tensor): Tensor {
    const [inputs, outputs, depth, batch] = weight.shape;
    const fits = x.shape[0] === inputs && x.shape[2] % depth === 0 && x.shape[3] % batch === 0;
    requireShape(fits && x.type === "f32" && x.rowsContiguous && weight.rowsContiguous, "matmul", weight, x);
    const shape: Shape = [outputs, x.shape[1], x.shape[2], x.shape[3]];
    this.#multiplications += inputs * countElements(shape);
    return this.#dense(shape, () => this.#ggml.mulMat(this.#context, weight.pointer, x.pointer));
  }

  /** PyTorch's Linear: weight [inputs, outputs], bias [outputs]. */
  linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const product = this.matmul(weight, x);
    return bias === undefined ? product : this.add(product, bias);
  }

  /** Every row to mean 0 and deviation 1, then times weight, plus bias, each [columns]. */
  layerNorm(x: Tensor, epsilon: number, weight?: Tensor, bias?: Tensor): Tensor {
    requireShape(x.type === "f32" && x.rowsContiguous, "layerNorm", x);
    let y = this.#dense(x.shape, () => this.#ggml.norm(this.#context, x.pointer, epsilon));
    if (weight !== undefined) y = this.mul(y, weight);
    return bias === undefined ? y : this.add(y, bias);
  }

  /** GELU by the tanh approximation. */
  gelu(x: Tensor): Tensor {
    return this.#activation("gelu", x);
  }

  /** GELU by its definition with the error function, as PyTorch's `nn.GELU()`. */
  geluErf(x: Tensor): Tensor {
    return this.#activation("geluErf", x);
  }

  /**
   * x * sigmoid(1.702 x), as in CLIP. It is silu under another scale; ggml computes silu with vector instructions in
   * float32, but its own quick GELU one element at a time from a half-precision table, which takes three times as long.
   */
  geluQuick(x: Tensor): Tensor {
    return this.scale(this.silu(this.scale(x, 1.702)), 1 / 1.702);
  }

  /** x * sigmoid(x) */
  silu(x: Tensor): Tensor {
    return this.#activation("silu", x);
  }

  /** max(x, 0) */
  relu(x: Tensor): Tensor {
    return this.#activation("relu", x);
  }

  /** x * hardSigmoid(x) */
  hardSwish(x: Tensor): Tensor {
    return this.#activation("hardswish", x);
  }

  /** min(max(x + 3, 0), 6) / 6 */
  hardSigmoid(x: Tensor): Tensor {
    return this.#activation("hardsigmoid", x);
  }

  #activation(name: "gelu" | "geluErf" | "silu" | "relu" | "hardswish" | "hardsigmoid", x: Tensor): Tensor {
    requireShape(x.type === "f32" && x.contiguous, name, x);
    return this.#dense(x.shape, () => this.#ggml[name](this.#context, x.pointer));
  }

  /** The same elements under another shape of as many. */
  reshape(x: Tensor, ...lengths: number[]): Tensor {
    const shape = toShape(lengths);
    requireShape(x.contiguous && countElements(shape) === countElements(x.shape), "reshape", x);
    const pointer = this.#count(() => this.#ggml.reshape4d(this.#context, x.pointer, ...shape));
    return { ...x, pointer, shape };
  }

  /** Dimension i of x becomes dimension `axes[i]` of the result. Moves no data. */
  permute(x: Tensor, axes: Shape): Tensor {
    requireShape(
      axes.toSorted((a, b) => a - b).every((axis, index) => axis === index),
      "permute",
      x,
    );
    const shape: [number, number, number, number] = [1, 1, 1, 1];
    for (const [from, to] of axes.entries()) shape[to as 0] = x.shape[from as 0];
    const pointer = this.#count(() => this.#ggml.permute(this.#context, x.pointer, ...axes));
    const rowsContiguous = axes[0] === 0 && x.rowsContiguous;
    return {
      pointer,
      type: x.type,
      shape,
      contiguous: sameShape(axes, [0, 1, 2, 3]) && x.contiguous,
      rowsContiguous,
    };
  }

  /** Copies a permuted tensor into plain order. */
  contiguous(x: Tensor): Tensor {
    requireShape(x.type === "f32", "contiguous", x);
    return this.#dense(x.shape, () => this.#ggml.cont(this.#context, x.pointer));
  }

  /** Copies of x, one after the other, up to these lengths, each a multiple of x's. */
  repeat(x: Tensor, ...lengths: number[]): Tensor {
    const shape = toShape(lengths);
    const fits = shape.every((length, index) => length % (x.shape[index] ?? 0) === 0);
    requireShape(fits && x.type === "f32" && x.contiguous, "repeat", x);
    return this.#dense(shape, () => this.#ggml.repeat4d(this.#context, x.pointer, ...shape));
  }

  /** The rows of a, then those of b: [columns, a rows + b rows]. */
  concatRows(a: Tensor, b: Tensor): Tensor {
    const fits = a.shape[0] === b.shape[0] && a.shape[2] === b.shape[2] && a.shape[3] === b.shape[3];
    requireShape(fits && a.type === "f32" && b.type === "f32", "concatRows", a, b);
    return this.#dense([a.shape[0], a.shape[1] + b.shape[1], a.shape[2], a.shape[3]], () =>
      this.#ggml.concat(this.#context, a.pointer, b.pointer, 1),
    );
  }

  /** `count` rows of a matrix of any type, or of each of several, from row `start` on. Moves no data. */
  rows(x: Tensor, start: number, count: number): Tensor {
    const [columns, rows, depth, batch] = x.shape;
    const inside = start >= 0 && count >= 1 && start + count <= rows;
    requireShape(inside && x.contiguous, `rows ${start} to ${start + count}`, x);
    const rowBytes = tensorBytes(x.type, [columns]);
    const strides = [rowBytes, rowBytes * rows, rowBytes * rows * depth] as const;
    const pointer = this.#count(() =>
      this.#ggml.view4d(
        ...([this.#context, x.pointer, columns, count, depth, batch] as const),
        ...([...strides, start * rowBytes] as const),
      ),
    );
    const contiguous = count === rows || depth * batch === 1;
    return { ...x, pointer, shape: [columns, count, depth, batch], contiguous };
  }

  /** Every row: exp(scale * x) divided by the row's sum of it. */
  softmax(x: Tensor, scale: number): Tensor {
    requireShape(x.type === "f32" && x.contiguous, "softmax", x);
    return this.#dense(x.shape, () => this.#ggml.softMaxExt(this.#context, x.pointer, null, scale, 0));
  }

  /**
   * Attention without a mask as one fused operation, whose scores never leave the cache.
   *
   * @param q [head columns, queries, heads, batch]; k and v [head columns, keys, heads, batch]
   * @returns [head columns, heads, queries, batch]
   */
  flashAttention(q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
    const [headColumns, queries, heads, batch] = q.shape;
    const fits =
      k.shape[0] === headColumns &&
      k.shape[2] === heads &&
      k.shape[3] === batch &&
      sameShape(k.shape, v.shape);
    const plain = [q, k, v].every(({ type, rowsContiguous }) => type === "f32" && rowsContiguous);
    requireShape(fits && plain, "flashAttention", q, k, v);
    this.#multiplications += 2 * countElements(q.shape) * k.shape[1];
    return this.#dense([headColumns, heads, queries, batch], () =>
      this.#ggml.flashAttnExt(this.#context, q.pointer, k.pointer, v.pointer, null, scale, 0, 0),
    );
  }

  /**
   * Cuts a picture into the squares that a convolution with its own width as stride would see.
   *
   * @param image [width, height, channels, batch]
   * @param kernel [side, side, channels, outputs]: only its shape matters
   * @returns [side * side * channels, columns of squares, rows of squares, batch]; inside a square in the order of the kernel
   */
  squares(image: Tensor, kernel: Tensor): Tensor {
    const [side, sideDown, channels] = kernel.shape;
    const [width, height, imageChannels, batch] = image.shape;
    const fits = side === sideDown && channels === imageChannels && width % side === 0 && height % side === 0;
    requireShape(fits && kernel.type === "f32" && image.type === "f32", "squares", image, kernel);
    return this.#dense([side * side * channels, width / side, height / side, batch], () =>
      this.#ggml.im2col(
        ...([this.#context, kernel.pointer, image.pointer, side, side] as const),
        ...([0, 0, 1, 1, true, TENSOR_TYPES.f32.id] as const),
      ),
    );
  }

  /**
   * A convolution of every channel with a kernel of its own, PyTorch's `Conv2d(groups=channels)`; zeros around.
   *
   * @param x [width, height, channels, batch]
   * @param kernel [side, side, channels]
   * @returns [ceil(width / stride), ceil(height / stride), channels, batch] for a padding of (side - 1) / 2
   */
  depthwiseConv2d(
    x: Tensor,
    kernel: Tensor,
    { stride, padding }: { stride: number; padding: number },
  ): Tensor {
    const [width, height, channels, batch] = x.shape;
    const [side, sideDown, kernelChannels, fourth] = kernel.shape;
    const output = (length: number): number => Math.floor((length + 2 * padding - side) / stride) + 1;
    const fits = side === sideDown && kernelChannels === channels && fourth === 1 && output(width) >= 1;
    const plain = [x, kernel].every(({ type, contiguous }) => type === "f32" && contiguous);
    requireShape(fits && plain && output(height) >= 1, "depthwiseConv2d", x, kernel);
    const grouped = this.reshape(kernel, side, side, 1, channels);
    return this.#dense([output(width), output(height), channels, batch], () =>
      this.#ggml.conv2dDwDirect(
        ...([this.#context, grouped.pointer, x.pointer] as const),
        ...([stride, stride, padding, padding, 1, 1] as const),
      ),
    );
  }

  /** Means of rectangles that lie side by side: [width, height, …] → [width / across, height / down, …]. */
  averagePool2d(x: Tensor, across: number, down: number): Tensor {
    const [width, height, channels, batch] = x.shape;
    const fits = width % across === 0 && height % down === 0;
    requireShape(fits && x.type === "f32" && x.contiguous, "averagePool2d", x);
    return this.#dense([width / across, height / down, channels, batch], () =>
      this.#ggml.pool2d(this.#context, x.pointer, POOL_AVERAGE, across, down, across, down, 0, 0),
    );
  }

  /**
   * Ends the construction: `output` is what will be read, and memory for everything before it is reserved.
   * @throws MullError `out_of_memory`
   */
  finish(output: Tensor): void {
    const { ggml, alloc } = this.#backend;
    requireShape(output.contiguous && output.type === "f32" && !this.#finished, "finish", output);
    ggml.setOutput(output.pointer);
    ggml.buildForwardExpand(this.#graph, output.pointer);
    if (!alloc.gallocrAllocGraph(this.#allocator, this.#graph)) throw outOfMemory(this.#backend);
    this.#finished = true;
  }

  /** Size of the memory for intermediate results, in bytes. */
  get workBytes(): number {
    return this.#backend.alloc.gallocrGetBufferSize(this.#allocator, 0);
  }

  /**
   * Computes `output` from one input while the event loop stays free.
   *
   * @returns the elements of `output`, in the order of its shape
   * @throws MullError `aborted`, `out_of_memory`, `internal`
   */
  async run(
    input: Tensor,
    values: Float32Array,
    output: Tensor,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { api } = this.#backend;
    requireShape(this.#finished && values.length === countElements(input.shape), "run", input);
    return this.#backend.exclusive(async () => {
      api.tensorSet(input.pointer, values, 0, values.byteLength);
      await this.#backend.compute(this.#graph, this.#multiplications, signal);
      const result = new Float32Array(countElements(output.shape));
      api.tensorGet(output.pointer, result, 0, result.byteLength);
      return result;
    });
  }

  /** Waits for a run in progress. */
  async close(): Promise<void> {
    const { ggml, alloc } = this.#backend;
    await this.#backend.exclusive(() => {
      alloc.gallocrFree(this.#allocator);
      ggml.free(this.#context);
    });
  }

  get #ggml(): Backend["ggml"] {
    return this.#backend.ggml;
  }

  #dense(shape: Shape, make: () => TensorPointer): Tensor {
    return { ...F32_DENSE, pointer: this.#count(make), shape };
  }

  /** A full context would abort the process. */
  #count(make: () => TensorPointer): TensorPointer {
    if (this.#tensorCount >= this.#maxTensors || this.#finished) {
      throw new MullError("internal", `A graph for ${this.#maxTensors} tensors cannot take one more.`);
    }
    this.#tensorCount++;
    const tensor = make();
    if (!this.#backend.supports(tensor)) {
      throw new MullError(
        "engine_unavailable",
        `${this.#backend.name} lacks an operation that the encoder needs.`,
        {
          hint: "Load the model with device: cpu (MULL_DEVICE=cpu).",
        },
      );
    }
    return tensor;
  }
}

function isRepeatable(a: Tensor, b: Tensor): boolean {
  const fits = a.shape.every((length, index) => length % (b.shape[index] ?? 0) === 0);
  return fits && a.type === "f32" && b.type === "f32" && a.rowsContiguous && b.rowsContiguous;
}

function outOfMemory(backend: Backend): MullError {
  return new MullError("out_of_memory", `${backend.name} has not enough memory for the encoder.`, {
    hint: "Close other programs, or load the model with device: cpu.",
  });
}
