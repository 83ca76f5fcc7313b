import type { FloatType } from "./convert-values.ts";

/** All bits of the exponent set is infinity or NaN; adding the lowest of them then carries into the sign's place. */
const EXPONENTS: Readonly<Record<FloatType, { mask: number; carry: number; signs: number }>> = {
  f32: { mask: 0x7f80_0000, carry: 0x0080_0000, signs: 0x8000_0000 | 0 },
  f16: { mask: 0x7c00_7c00, carry: 0x0400_0400, signs: 0x8000_8000 | 0 },
  bf16: { mask: 0x7f80_7f80, carry: 0x0080_0080, signs: 0x8000_8000 | 0 },
};

/**
 * Infinities and NaNs among values.
 *
 * Models have billions of values and hardly ever one of these. So the first look is a loop without branches, two 16-bit
 * values at a time, that only tells whether there is any.
 *
 * @param bytes whole values; the start is aligned to 4 bytes
 */
export function countNonFinite(bytes: Uint8Array, type: FloatType): number {
  const { mask, carry, signs } = EXPONENTS[type];
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  let seen = 0;
  for (let index = 0; index < words.length; index++) {
    seen |= (((words[index] as number) & mask) + carry) | 0;
  }
  const odd = bytes.length % 4 === 2;
  if ((seen & signs) === 0 && !odd) return 0;
  const width = type === "f32" ? 4 : 2;
  const exponent = type === "f32" ? 0x7f80 : mask & 0xffff;
  let count = 0;
  for (let at = width - 2; at < bytes.length; at += width) {
    const high = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    if ((high & exponent) === exponent) count++;
  }
  return count;
}
