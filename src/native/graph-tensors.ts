import { TENSOR_TYPES, type TensorTypeName } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";
import type { Backend } from "./backend.ts";
import type { ContextPointer, TensorPointer } from "./ggml.ts";
import {
  type Shape,
  type Tensor,
  countElements,
  denseTensor,
  formatShape,
  isPossible,
  toShape,
  viewTensor,
} from "./tensor.ts";

export interface GraphOptions {
  /** Most tensors that will be made, inputs and views included; some operations make up to six. */
  maxTensors: number;
}

/** A tensor whose elements come from outside the graph. */
export interface GraphInput {
  readonly tensor: Tensor;
  /** Set once for a constant; otherwise every run brings its own. */
  readonly values: Float32Array | Int32Array | undefined;
  /** Its elements are used as indices below this: one outside would end the process. */
  indexLimit: number;
}

/** Makes the tensors of a graph: inputs, constants, and what the operations of the classes above it return. */
export abstract class GraphTensors {
  /** True where `flashAttention` computes in float32. Kernels of GPUs would round keys and values to half precision. */
  readonly hasExactFlashAttention: boolean;
  protected readonly backend: Backend;
  protected readonly context: ContextPointer;
  protected readonly inputs: Map<TensorPointer, GraphInput> = new Map();
  /** In all operations so far: how much there is to share between threads. */
  protected multiplications = 0;
  protected finished = false;
  readonly #maxTensors: number;
  #tensorCount = 0;

  /** @param graphBytes what else will be made in the context */
  constructor(backend: Backend, { maxTensors }: GraphOptions, graphBytes: number) {
    const { ggml } = backend;
    this.hasExactFlashAttention = backend.isCpu;
    this.backend = backend;
    this.#maxTensors = maxTensors;
    const context = ggml.init({
      mem_size: maxTensors * ggml.tensorOverhead() + graphBytes,
      mem_buffer: null,
      no_alloc: true,
    });
    if (context === null) throw outOfMemory(backend);
    this.context = context;
  }

  /** A float32 tensor that every run sets. */
  input(...lengths: number[]): Tensor {
    return this.#external("f32", lengths);
  }

  /** An int32 tensor that every run sets: positions for `rope`, indices for `getRows`. */
  inputInt32(...lengths: number[]): Tensor {
    return this.#external("i32", lengths);
  }

  /** A tensor with the same elements in every run, such as a mask. */
  constant(values: Float32Array | Int32Array, ...lengths: number[]): Tensor {
    if (values.length !== countElements(toShape(lengths))) {
      throw new MullError(
        "internal",
        `A constant ${formatShape(lengths)} has not ${values.length} elements.`,
      );
    }
    const tensor = this.#external(values instanceof Int32Array ? "i32" : "f32", lengths, values.slice());
    // Memory of an output is not used for anything else, so that the values last.
    this.ggml.setOutput(tensor.pointer);
    return tensor;
  }

  #external(type: "f32" | "i32", lengths: number[], values?: GraphInput["values"]): Tensor {
    const tensor = this.create(type, lengths);
    this.ggml.setInput(tensor.pointer);
    this.inputs.set(tensor.pointer, { tensor, values, indexLimit: Infinity });
    return tensor;
  }

  /** A tensor without an operation. */
  protected create(type: TensorTypeName, lengths: readonly number[]): Tensor {
    if (!isPossible(type, lengths)) {
      throw new MullError("internal", `There is no ${type} tensor [${lengths.join(", ")}].`);
    }
    const shape = toShape(lengths);
    return this.dense(
      shape,
      () => this.ggml.newTensor4d(this.context, TENSOR_TYPES[type].id, ...shape),
      type,
    );
  }

  /** The result of an operation, with its own memory. */
  protected dense(shape: Shape, make: () => TensorPointer, type: TensorTypeName = "f32"): Tensor {
    if (!isPossible(type, shape)) {
      throw new MullError("internal", `An operation cannot return ${type} ${formatShape(shape)}.`);
    }
    return denseTensor(this.#count(make), type, shape);
  }

  /** Other shape and strides for the memory of a tensor. */
  protected view(of: Tensor, shape: Shape, strides: Shape, make: () => TensorPointer): Tensor {
    return viewTensor(of, this.#count(make), shape, strides);
  }

  protected get ggml(): Backend["ggml"] {
    return this.backend.ggml;
  }

  /** A full context would abort the process. */
  #count(make: () => TensorPointer): TensorPointer {
    if (this.finished) throw new MullError("internal", "A finished graph cannot take one more tensor.");
    if (this.#tensorCount >= this.#maxTensors) {
      throw new MullError("internal", `A graph for ${this.#maxTensors} tensors cannot take one more.`);
    }
    this.#tensorCount++;
    const tensor = make();
    if (!this.backend.supports(tensor)) {
      throw new MullError(
        "engine_unavailable",
        `${this.backend.name} lacks an operation that the encoder needs.`,
        { hint: "Load the model with device: cpu (MULL_DEVICE=cpu)." },
      );
    }
    return tensor;
  }
}

export function outOfMemory(backend: Backend): MullError {
  return new MullError("out_of_memory", `${backend.name} has not enough memory for the encoder.`, {
    hint: "Close other programs, or load the model with device: cpu.",
  });
}
