import { MullError } from "../spec/errors.ts";

export interface TensorType {
  /** Number in the file (`enum ggml_type`). */
  id: number;
  /** Elements that are packed together; a row is a whole number of blocks. */
  blockSize: number;
  /** Bytes of one block. */
  blockBytes: number;
}

/** Every type a tensor can have in a GGUF file, by ggml's name for it. */
export type TensorTypeName =
  | "f32"
  | "f16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q8_1"
  | "q2_K"
  | "q3_K"
  | "q4_K"
  | "q5_K"
  | "q6_K"
  | "q8_K"
  | "iq2_xxs"
  | "iq2_xs"
  | "iq3_xxs"
  | "iq1_s"
  | "iq4_nl"
  | "iq3_s"
  | "iq2_s"
  | "iq4_xs"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "f64"
  | "iq1_m"
  | "bf16"
  | "tq1_0"
  | "tq2_0"
  | "mxfp4"
  | "nvfp4"
  | "q1_0"
  | "q2_0";

/** Numbers that are missing here belonged to types that were removed. */
export const TENSOR_TYPES: Readonly<Record<TensorTypeName, TensorType>> = {
  f32: { id: 0, blockSize: 1, blockBytes: 4 },
  f16: { id: 1, blockSize: 1, blockBytes: 2 },
  q4_0: { id: 2, blockSize: 32, blockBytes: 18 },
  q4_1: { id: 3, blockSize: 32, blockBytes: 20 },
  q5_0: { id: 6, blockSize: 32, blockBytes: 22 },
  q5_1: { id: 7, blockSize: 32, blockBytes: 24 },
  q8_0: { id: 8, blockSize: 32, blockBytes: 34 },
  q8_1: { id: 9, blockSize: 32, blockBytes: 36 },
  q2_K: { id: 10, blockSize: 256, blockBytes: 84 },
  q3_K: { id: 11, blockSize: 256, blockBytes: 110 },
  q4_K: { id: 12, blockSize: 256, blockBytes: 144 },
  q5_K: { id: 13, blockSize: 256, blockBytes: 176 },
  q6_K: { id: 14, blockSize: 256, blockBytes: 210 },
  q8_K: { id: 15, blockSize: 256, blockBytes: 292 },
  iq2_xxs: { id: 16, blockSize: 256, blockBytes: 66 },
  iq2_xs: { id: 17, blockSize: 256, blockBytes: 74 },
  iq3_xxs: { id: 18, blockSize: 256, blockBytes: 98 },
  iq1_s: { id: 19, blockSize: 256, blockBytes: 50 },
  iq4_nl: { id: 20, blockSize: 32, blockBytes: 18 },
  iq3_s: { id: 21, blockSize: 256, blockBytes: 110 },
  iq2_s: { id: 22, blockSize: 256, blockBytes: 82 },
  iq4_xs: { id: 23, blockSize: 256, blockBytes: 136 },
  i8: { id: 24, blockSize: 1, blockBytes: 1 },
  i16: { id: 25, blockSize: 1, blockBytes: 2 },
  i32: { id: 26, blockSize: 1, blockBytes: 4 },
  i64: { id: 27, blockSize: 1, blockBytes: 8 },
  f64: { id: 28, blockSize: 1, blockBytes: 8 },
  iq1_m: { id: 29, blockSize: 256, blockBytes: 56 },
  bf16: { id: 30, blockSize: 1, blockBytes: 2 },
  tq1_0: { id: 34, blockSize: 256, blockBytes: 54 },
  tq2_0: { id: 35, blockSize: 256, blockBytes: 66 },
  mxfp4: { id: 39, blockSize: 32, blockBytes: 17 },
  nvfp4: { id: 40, blockSize: 64, blockBytes: 36 },
  q1_0: { id: 41, blockSize: 128, blockBytes: 18 },
  q2_0: { id: 42, blockSize: 64, blockBytes: 18 },
};

const NAME_BY_ID = new Map(
  Object.entries(TENSOR_TYPES).map(([name, type]) => [type.id, name as TensorTypeName]),
);

export function tensorTypeName(id: number): TensorTypeName | undefined {
  return NAME_BY_ID.get(id);
}

/**
 * Size of a tensor in bytes.
 *
 * @param shape 1 to 4 positive lengths in ggml order: `shape[0]` is the row length, the fastest to vary
 * @throws MullError `invalid_model` if a length is not a positive integer, a row is not a whole number of
 *   blocks, or the product passes 2^53
 */
export function tensorBytes(type: TensorTypeName, shape: readonly number[]): number {
  const { blockSize, blockBytes } = TENSOR_TYPES[type];
  const written = `[${shape.join(", ")}]`;
  if (shape.length < 1 || shape.length > 4) {
    throw new MullError("invalid_model", `shape ${written} has ${shape.length} dimensions instead of 1 to 4`);
  }
  let elements = 1;
  for (const length of shape) {
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new MullError("invalid_model", `shape ${written} has a length that is not a positive integer`);
    }
    elements *= length;
    // Exact: both factors are safe integers, so a product that rounds is already over the limit.
    if (elements > Number.MAX_SAFE_INTEGER) {
      throw new MullError("invalid_model", `shape ${written} has more than 2^53 elements`);
    }
  }
  if ((shape[0] ?? 0) % blockSize !== 0) {
    throw new MullError(
      "invalid_model",
      `row length ${shape[0]} is not a multiple of ${blockSize}, as ${type} needs`,
    );
  }
  const bytes = (elements / blockSize) * blockBytes;
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new MullError("invalid_model", `shape ${written} of ${type} has more than 2^53 bytes`);
  }
  return bytes;
}
