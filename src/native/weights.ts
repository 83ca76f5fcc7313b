import type { Gguf } from "../gguf/gguf.ts";
import type { TensorInfo } from "../gguf/layout.ts";
import { TENSOR_TYPES, tensorBytes } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";
import type { Backend } from "./backend.ts";
import type { ContextPointer } from "./ggml.ts";
import { BUFFER_USAGE, type BufferPointer } from "./ggml-backend.ts";
import { type Tensor, denseTensor, formatShape, toShape } from "./tensor.ts";
import { WeightConverter } from "./weight-converter.ts";
import { WINDOW_BYTES, WindowReader } from "./window-reader.ts";

/** Types that weights can be brought to at load. */
export type WeightType = "f32" | "f16" | "bf16" | "q8_0";

/** A tensor that a model needs, and the form in which it computes with it. */
export interface WeightRequest {
  name: string;
  /** Lengths that it must have, fastest first; trailing ones may be left out. */
  shape: readonly number[];
  type: WeightType;
}

export interface LoadWeightsOptions {
  signal?: AbortSignal;
  /** Called with bytes of the file. */
  onProgress?: (completedBytes: number, totalBytes: number) => void;
}

/** Weights in a buffer of a backend. */
export class Weights {
  readonly #backend: Backend;
  readonly #context: ContextPointer;
  readonly #buffer: BufferPointer;
  readonly #tensors: ReadonlyMap<string, Tensor>;

  constructor(
    backend: Backend,
    context: ContextPointer,
    buffer: BufferPointer,
    tensors: Map<string, Tensor>,
  ) {
    this.#backend = backend;
    this.#context = context;
    this.#buffer = buffer;
    this.#tensors = tensors;
  }

  get(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new MullError("internal", `Weight ${name} was not asked for.`);
    return tensor;
  }

  /** For weights that some models have and some have not. */
  find(name: string): Tensor | undefined {
    return this.#tensors.get(name);
  }

  /** Size in memory. */
  get bytes(): number {
    return this.#backend.api.bufferGetSize(this.#buffer);
  }

  /** Waits for a computation in progress. */
  async close(): Promise<void> {
    await this.#backend.exclusive(() => {
      this.#backend.api.bufferFree(this.#buffer);
      this.#backend.ggml.free(this.#context);
    });
  }
}

/**
 * Reads tensors from a GGUF into memory of the backend, converted to the types asked for. Reads and converts in
 * slices, so that it needs little more memory than the result.
 *
 * @throws MullError `invalid_model` when a tensor is missing or of another shape; `out_of_memory`; `aborted`
 */
export async function loadWeights(
  backend: Backend,
  gguf: Gguf,
  requests: readonly WeightRequest[],
  options: LoadWeightsOptions = {},
): Promise<Weights> {
  const infos = requests
    .map((request) => findTensor(gguf, request))
    // In file order, so that the file is read once from front to back.
    .toSorted((a, b) => a.offset - b.offset);
  const weights = allocateWeights(backend, requests);
  try {
    await fill(backend, weights, infos, options);
    return weights;
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/**
 * Reserves memory for weights without filling it.
 * @throws MullError `out_of_memory`
 */
export function allocateWeights(backend: Backend, requests: readonly WeightRequest[]): Weights {
  const { ggml, alloc, api } = backend;
  const memory = { mem_size: requests.length * ggml.tensorOverhead(), mem_buffer: null, no_alloc: true };
  const context = ggml.init(memory);
  if (context === null) throw outOfMemory(backend);
  const tensors = new Map<string, Tensor>();
  for (const { name, shape: lengths, type } of requests) {
    const shape = toShape(lengths);
    const pointer = ggml.newTensor4d(context, TENSOR_TYPES[type].id, ...shape);
    tensors.set(name, denseTensor(pointer, type, shape));
  }
  const buffer = alloc.allocContextTensors(context, backend.bufferType);
  if (buffer === null) {
    ggml.free(context);
    throw outOfMemory(backend);
  }
  api.bufferSetUsage(buffer, BUFFER_USAGE.weights);
  return new Weights(backend, context, buffer, tensors);
}

function findTensor(gguf: Gguf, { name, shape }: WeightRequest): TensorInfo {
  const info = gguf.requireTensor(name);
  if (formatShape(info.shape) !== formatShape(shape)) {
    throw new MullError(
      "invalid_model",
      `${gguf.path}: tensor ${name} is ${formatShape(info.shape)} instead of ${formatShape(shape)}`,
      { hint: "The sizes in the file's header and its tensors do not belong together. Convert it again." },
    );
  }
  return info;
}

async function fill(
  backend: Backend,
  weights: Weights,
  infos: readonly TensorInfo[],
  { signal, onProgress }: LoadWeightsOptions,
): Promise<void> {
  const totalBytes = infos.reduce((sum, info) => sum + info.bytes, 0);
  let completedBytes = 0;
  const converter = new WeightConverter(backend);
  let reader: WindowReader | undefined;
  try {
    for (const info of infos) {
      if (reader?.path !== info.path) {
        await reader?.close();
        reader = await WindowReader.open(info.path);
      }
      const target = weights.get(info.name);
      const rowElements = target.shape[0];
      const rowBytes = tensorBytes(info.type, [rowElements]);
      const rows = info.bytes / rowBytes;
      const rowsPerSlice = Math.max(1, Math.floor(WINDOW_BYTES / rowBytes));
      for (let row = 0; row < rows; row += rowsPerSlice) {
        if (signal?.aborted === true) throw new MullError("aborted", "Loading the model was cancelled.");
        const count = Math.min(rowsPerSlice, rows - row);
        const source = await reader.read(info.offset + row * rowBytes, count * rowBytes);
        converter.write(target, info.type, source, row, count);
        completedBytes += source.length;
        onProgress?.(completedBytes, totalBytes);
      }
    }
  } finally {
    await reader?.close();
  }
}

function outOfMemory(backend: Backend): MullError {
  return new MullError("out_of_memory", `${backend.name} has not enough memory for the encoder's weights.`, {
    hint: "Close other programs, or load the model with a smaller encoderPrecision such as q8_0.",
  });
}
