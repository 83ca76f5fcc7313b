import { TENSOR_TYPES, type TensorTypeName, tensorBytes } from "../gguf/tensor-types.ts";
import { MullError } from "../spec/errors.ts";
import type { Backend } from "./backend.ts";
import type { Tensor } from "./tensor.ts";

/** Brings rows of weights from the type in the file to the type of a tensor, and into the tensor. */
export class WeightConverter {
  readonly #backend: Backend;
  // Reused from slice to slice; they grow to the largest one.
  #floats = new Float32Array(0);
  #packed = new Uint8Array(0);

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * @param source `rows` rows of `sourceType`, each as long as a row of `target`
   * @param firstRow where they go, counted over all dimensions but the first
   * @throws MullError `invalid_model` for a type of which ggml knows only the name
   */
  write(
    target: Tensor,
    sourceType: TensorTypeName,
    source: Uint8Array,
    firstRow: number,
    rows: number,
  ): void {
    const { api, quantize } = this.#backend;
    const columns = target.shape[0];
    const rowBytes = tensorBytes(target.type, [columns]);
    const offset = firstRow * rowBytes;
    if (sourceType === target.type) {
      api.tensorSet(target.pointer, source, offset, rows * rowBytes);
      return;
    }
    const floats = this.#unpack(sourceType, source, rows * columns);
    if (target.type === "f32") {
      api.tensorSet(target.pointer, floats, offset, rows * rowBytes);
      return;
    }
    if (this.#packed.length < rows * rowBytes) this.#packed = new Uint8Array(rows * rowBytes);
    quantize.quantizeChunk(TENSOR_TYPES[target.type].id, floats, this.#packed, 0, rows, columns, null);
    api.tensorSet(target.pointer, this.#packed, offset, rows * rowBytes);
  }

  #unpack(type: TensorTypeName, source: Uint8Array, count: number): Float32Array {
    if (this.#floats.length < count) this.#floats = new Float32Array(count);
    if (type === "f32") {
      new Uint8Array(this.#floats.buffer).set(source);
    } else if (!this.#backend.quantize.toFloat(TENSOR_TYPES[type].id, source, this.#floats, count)) {
      throw new MullError("invalid_model", `Weights of type ${type} cannot be converted.`, {
        hint: "Use a file with f32, f16, bf16 or quantised weights.",
      });
    }
    return this.#floats;
  }
}
