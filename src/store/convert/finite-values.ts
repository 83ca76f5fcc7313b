import { TENSOR_TYPES } from "../../gguf/tensor-types.ts";
import type { FloatType, WeightType } from "./planned-tensor.ts";

/**
 * All bits of the exponent set is infinity or NaN; adding the lowest of them then carries into the sign's place. For
 * words of 32 bits: one value, or two.
 */
export const EXPONENTS: Readonly<Record<FloatType, { mask: number; carry: number; signs: number }>> = {
  f32: { mask: 0x7f80_0000, carry: 0x0080_0000, signs: 0x8000_0000 | 0 },
  f16: { mask: 0x7c00_7c00, carry: 0x0400_0400, signs: 0x8000_8000 | 0 },
  bf16: { mask: 0x7f80_7f80, carry: 0x0080_0080, signs: 0x8000_8000 | 0 },
};

/**
 * Whether no value is infinite or no number: a loop without branches.
 * @param bytes whole values; the start is aligned to 4 bytes
 */
export function allFinite(bytes: Uint8Array, type: FloatType): boolean {
  const { mask, carry, signs } = EXPONENTS[type];
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  // Four at a time, so that none waits for another.
  let [a, b, c, d] = [0, 0, 0, 0];
  const end = words.length & ~3;
  for (let index = 0; index < end; index += 4) {
    a |= (((words[index] as number) & mask) + carry) | 0;
    b |= (((words[index + 1] as number) & mask) + carry) | 0;
    c |= (((words[index + 2] as number) & mask) + carry) | 0;
    d |= (((words[index + 3] as number) & mask) + carry) | 0;
  }
  if (((a | b | c | d) & signs) !== 0) return false;
  return countNonFinite(bytes.subarray(end * 4), type) === 0;
}

/** Infinities and NaNs among values; of q8_0, blocks whose scale is one. */
export function countNonFinite(bytes: Uint8Array, type: WeightType): number {
  // The two bytes that hold the exponent.
  const [width, offset] =
    type === "f32" ? [4, 2] : type === "q8_0" ? [TENSOR_TYPES.q8_0.blockBytes, 0] : [2, 0];
  const exponent = type === "f32" || type === "bf16" ? 0x7f80 : 0x7c00;
  let count = 0;
  for (let at = offset; at < bytes.length; at += width) {
    const high = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    if ((high & exponent) === exponent) count++;
  }
  return count;
}
