import { toFloat16Bits } from "../../gguf/float16.ts";

/**
 * float32 to q8_0: blocks of 32; a half-precision scale, then 32 int8. Rounding as in ggml's quantize_row_q8_0_ref, and
 * in `quantize` of gguf/, without a call per value.
 *
 * @param values whole blocks
 * @param packed 34 bytes per block
 */
export function packQ8Blocks(values: Float32Array, packed: Uint8Array): void {
  const blocks = values.length / 32;
  for (let block = 0; block < blocks; block++) {
    const start = block * 32;
    let largest = 0;
    for (let index = start; index < start + 32; index++) {
      const magnitude = Math.abs(values[index] as number);
      if (magnitude > largest) largest = magnitude;
    }
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const half = toFloat16Bits(scale);
    let out = block * 34;
    packed[out++] = half & 0xff;
    packed[out++] = half >>> 8;
    for (let index = start; index < start + 32; index++) {
      const scaled = Math.fround((values[index] as number) * inverse);
      // Halves go away from zero. The sum is exact: float64 has room for it.
      packed[out++] = scaled < 0 ? scaled - 0.5 : scaled + 0.5;
    }
  }
}

/** Blocks whose scale is beyond half precision: all their values come out infinite. */
export function countInfiniteBlocks(packed: Uint8Array): number {
  let count = 0;
  for (let at = 1; at < packed.length; at += 34) if (((packed[at] as number) & 0x7c) === 0x7c) count++;
  return count;
}
