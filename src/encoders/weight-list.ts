import type { Gguf } from "../gguf/gguf.ts";
import { TENSOR_TYPES } from "../gguf/tensor-types.ts";
import type { WeightRequest, WeightType } from "../native/weights.ts";
import { MullError } from "../spec/errors.ts";

/**
 * Collects which tensors of a file an encoder computes with, in which shapes and types. Matrices get the precision
 * that was chosen; everything else is small and stays float32.
 */
export class WeightList {
  readonly requests: WeightRequest[] = [];
  readonly #gguf: Gguf;
  readonly #precision: WeightType;
  readonly #names = new Set<string>();
  readonly #ignoredPrefixes: string[] = [];

  constructor(gguf: Gguf, precision: WeightType) {
    this.#gguf = gguf;
    this.#precision = precision;
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name);
  }

  /** Shapes are in ggml's order, fastest first. */
  vector(name: string, shape: readonly number[]): void {
    this.#add({ name, shape, type: "f32" });
  }

  /** True if the file has it. */
  optionalVector(name: string, shape: readonly number[]): boolean {
    if (!this.has(name)) return false;
    this.vector(name, shape);
    return true;
  }

  /** A norm that models may leave out. */
  norm(name: string, width: number): void {
    this.optionalVector(`${name}.weight`, [width]);
    this.optionalVector(`${name}.bias`, [width]);
  }

  /** A linear layer; its bias is optional. */
  linear(name: string, inputs: number, outputs: number): void {
    // Rows that are not whole blocks cannot be packed; such a matrix is small enough to stay as it is.
    const fits = inputs % TENSOR_TYPES[this.#precision].blockSize === 0;
    this.#add({ name: `${name}.weight`, shape: [inputs, outputs], type: fits ? this.#precision : "f32" });
    this.optionalVector(`${name}.bias`, [outputs]);
  }

  /** Tensors whose names start like this may be in the file and are not used. */
  ignore(prefix: string): void {
    this.#ignoredPrefixes.push(prefix);
  }

  /**
   * A tensor that nobody asked for is a part of the model that would be left out silently.
   *
   * @param prefixes of the names to look at
   * @throws MullError `invalid_model`
   */
  rejectUnknown(prefixes: readonly string[]): void {
    for (const name of this.#gguf.tensors.keys()) {
      const ours = prefixes.some((prefix) => name.startsWith(prefix));
      if (!ours || this.#names.has(name)) continue;
      if (this.#ignoredPrefixes.some((prefix) => name.startsWith(prefix))) continue;
      throw new MullError(
        "invalid_model",
        `${this.#gguf.path}: the encoder has no place for tensor ${name}.`,
        {
          hint: "The file belongs to another family of models than its header says, or to a newer variant of it.",
        },
      );
    }
  }

  #add(request: WeightRequest): void {
    this.#names.add(request.name);
    this.requests.push(request);
  }
}
