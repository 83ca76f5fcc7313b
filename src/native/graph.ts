import { MullError } from "../spec/errors.ts";
import type { Backend } from "./backend.ts";
import type { GraphPointer, TensorPointer } from "./ggml.ts";
import type { GraphAllocatorPointer } from "./ggml-alloc.ts";
import { GraphConvolution } from "./graph-convolution.ts";
import { requireIndices } from "./graph-shapes.ts";
import { type GraphOptions, outOfMemory } from "./graph-tensors.ts";
import { type Tensor, countElements, requireShape } from "./tensor.ts";

/** Sources of an operation, each of which can be a tensor from elsewhere, such as a weight. */
const MOST_SOURCES = 4;

/** What a run puts into an input: float32 for `input`, int32 for `inputInt32`. */
export type InputValues = readonly [input: Tensor, values: Float32Array | Int32Array];

/**
 * A computation on a backend: make inputs, combine them, `finish` once, `run` often.
 *
 * Every operation checks types and shapes, because ggml aborts the process on a wrong one. All results are float32
 * unless `cast`. Shapes are in ggml's order, fastest first (`Tensor`); a batch is the fourth dimension. The operations
 * are in the classes below this one: `graph-shapes.ts`, `graph-arithmetic.ts`, `graph-attention.ts`,
 * `graph-convolution.ts`.
 */
export class Graph extends GraphConvolution {
  readonly #graph: GraphPointer;
  readonly #allocator: GraphAllocatorPointer;
  readonly #outputs = new Set<TensorPointer>();
  #constantsSet = false;
  #closed = false;

  constructor(backend: Backend, options: GraphOptions) {
    const { ggml, alloc } = backend;
    const mostNodes = MOST_SOURCES * options.maxTensors;
    super(backend, options, ggml.graphOverheadCustom(mostNodes, false));
    const allocator = alloc.gallocrNew(backend.bufferType);
    if (allocator === null) {
      ggml.free(this.context);
      throw outOfMemory(backend);
    }
    this.#allocator = allocator;
    this.#graph = ggml.newGraphCustom(this.context, mostNodes, false);
  }

  /**
   * Ends the construction: `outputs` are what can be read, and memory for everything before them is reserved.
   * @throws MullError `out_of_memory`
   */
  finish(...outputs: Tensor[]): void {
    const { ggml, alloc } = this.backend;
    const readable = outputs.every(({ type, contiguous }) => type === "f32" && contiguous);
    requireShape(readable && outputs.length > 0 && !this.finished, "finish", ...outputs);
    for (const { pointer } of outputs) {
      this.#outputs.add(pointer);
      // Memory of an output, or of what it is a view of, is not used again.
      ggml.setOutput(pointer);
      ggml.buildForwardExpand(this.#graph, pointer);
    }
    // One that no output depends on gets memory as well, because runs will set it.
    for (const pointer of this.inputs.keys()) ggml.buildForwardExpand(this.#graph, pointer);
    if (!alloc.gallocrAllocGraph(this.#allocator, this.#graph)) throw outOfMemory(this.backend);
    this.finished = true;
  }

  /** Size of the memory for intermediate results, in bytes. */
  get workBytes(): number {
    return this.backend.alloc.gallocrGetBufferSize(this.#allocator, 0);
  }

  /**
   * `runAll` for a graph with one input, and one output to be read.
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
    const [result] = await this.runAll([[input, values]], [output], signal);
    return result;
  }

  /**
   * Computes from every input of the graph, while the event loop stays free.
   *
   * @param inputs all of them in any order, because a run uses their memory up
   * @param outputs some of those given to `finish`
   * @returns for each output its elements, in the order of its shape
   * @throws MullError `aborted`, `out_of_memory`, `internal`
   */
  async runAll<const Outputs extends readonly Tensor[]>(
    inputs: readonly InputValues[],
    outputs: Outputs,
    signal?: AbortSignal,
  ): Promise<{ [Index in keyof Outputs]: Float32Array }> {
    return this.backend.exclusive(async () => {
      this.#check(inputs, outputs);
      this.#setConstants();
      for (const [{ pointer }, values] of inputs) this.#set(pointer, values);
      await this.backend.compute(this.#graph, this.multiplications, signal);
      const results = outputs.map(({ pointer, shape }) => {
        const result = new Float32Array(countElements(shape));
        this.backend.api.tensorGet(pointer, result, 0, result.byteLength);
        return result;
      });
      return results as { [Index in keyof Outputs]: Float32Array };
    });
  }

  #check(inputs: readonly InputValues[], outputs: readonly Tensor[]): void {
    if (!this.finished || this.#closed) {
      throw new MullError("internal", "A graph runs after it is finished, until it is closed.");
    }
    const missing = new Set<TensorPointer>();
    for (const { tensor, values } of this.inputs.values()) {
      if (values === undefined) missing.add(tensor.pointer);
    }
    for (const [tensor, values] of inputs) {
      const typed = values instanceof Int32Array ? tensor.type === "i32" : tensor.type === "f32";
      const fits = typed && values.length === countElements(tensor.shape);
      requireShape(fits && missing.delete(tensor.pointer), `run with ${values.length} values`, tensor);
      const limit = this.inputs.get(tensor.pointer)?.indexLimit ?? Infinity;
      if (values instanceof Int32Array && limit < Infinity) requireIndices(values, limit);
    }
    if (missing.size > 0)
      throw new MullError("internal", `A run lacks ${missing.size} of the graph's inputs.`);
    requireShape(
      outputs.every(({ pointer }) => this.#outputs.has(pointer)),
      "run without such an output",
      ...outputs,
    );
  }

  /** In the first run, because only here no other computation is under way. */
  #setConstants(): void {
    if (this.#constantsSet) return;
    for (const { tensor, values } of this.inputs.values()) {
      if (values !== undefined) this.#set(tensor.pointer, values);
    }
    this.#constantsSet = true;
  }

  #set(pointer: TensorPointer, values: Float32Array | Int32Array): void {
    this.backend.api.tensorSet(pointer, values, 0, values.byteLength);
  }

  /** Waits for a run in progress. */
  async close(): Promise<void> {
    const { ggml, alloc } = this.backend;
    await this.backend.exclusive(() => {
      if (this.#closed) return;
      this.#closed = true;
      alloc.gallocrFree(this.#allocator);
      ggml.free(this.context);
    });
  }
}
