import type { MetadataValue } from "../../gguf/metadata.ts";
import { TENSOR_TYPES } from "../../gguf/tensor-types.ts";
import type { StoredTensor } from "./safetensors.ts";

/** Types that weights are converted to. */
export type WeightType = "f32" | "f16" | "bf16" | "q8_0";

export type FloatType = Exclude<WeightType, "q8_0">;

/** `keep`: matrices in the type that they are stored in, which loses nothing. */
export type OutputType = "keep" | WeightType;

/** A tensor of the GGUF file to be, and where its values come from. */
export interface PlannedTensor {
  /** At most 63 bytes. */
  name: string;
  type: WeightType;
  /** The type that loses nothing: what it falls back to if `type` cannot hold its values. */
  stored: FloatType;
  /** In ggml order: `shape[0]` is the row length. */
  shape: readonly number[];
  source: StoredTensor | Float32Array;
  /** Bring the rows of each of so many heads from half-split into adjacent order; see `stream-tensor.ts`. */
  interleavedHeads?: number;
}

/** One GGUF file to be. */
export interface FilePlan {
  kind: "model" | "mmproj";
  metadata: ReadonlyMap<string, MetadataValue>;
  tensors: readonly PlannedTensor[];
}

/** Vectors are small, and llama.cpp wants them in float32. */
export function vector(name: string, source: StoredTensor): PlannedTensor {
  return { name, type: "f32", stored: storedType(source), shape: ggmlShape(source), source };
}

/** @param type of the whole file; a row that is not whole blocks of it becomes f16, as in llama.cpp's converter */
export function matrix(name: string, source: StoredTensor, type: OutputType): PlannedTensor {
  const shape = ggmlShape(source);
  const wanted = type === "keep" ? storedType(source) : type;
  const fits = (shape[0] ?? 0) % TENSOR_TYPES[wanted].blockSize === 0;
  return { name, type: fits ? wanted : "f16", stored: storedType(source), shape, source };
}

export function storedType({ dtype }: StoredTensor): FloatType {
  if (dtype === "F16") return "f16";
  return dtype === "BF16" ? "bf16" : "f32";
}

function ggmlShape({ shape }: StoredTensor): readonly number[] {
  return shape.toReversed();
}
