import { toFloat16Bits } from "../../gguf/float16.ts";

/**
 * float32 to q8_0: blocks of 32; a half-precision scale, then 32 int8. Rounding as in ggml's quantize_row_q8_0_ref, and
 * in `quantize` of gguf/, without a call per value.
 *
 * @param values whole blocks
 * @param packed 34 bytes per block
 * @returns whether all scales are finite; one of values beyond 8.3 million, or no numbers, is not
 */
export function packQ8Blocks(values: Float32Array, packed: Uint8Array): boolean {
  const blocks = values.length / 32;
  let finite = true;
  const patterns = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let block = 0; block < blocks; block++) {
    const start = block * 32;
    // Without their signs, patterns are in the order of the values.
    let largest = 0;
    for (let index = start; index < start + 32; index++) {
      largest = Math.max(largest, (patterns[index] as number) & 0x7fff_ffff);
    }
    pattern[0] = largest;
    const scale = Math.fround((value[0] as number) / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const half = toFloat16Bits(scale);
    if (half >= 0x7c00) finite = false;
    let out = block * 34;
    packed[out++] = half & 0xff;
    packed[out++] = half >>> 8;
    for (let index = start; index < start + 32; index++) {
      // Halves go away from zero: half is added, or taken away where the sign is set. Signs are random, and a branch
      // on them would be guessed wrongly every other time. The sum is exact: float64 has room for it.
      const sign = (patterns[index] as number) >> 31;
      packed[out++] = Math.fround((values[index] as number) * inverse) + 0.5 + sign;
    }
  }
  return finite;
}

const value = new Float32Array(1);
const pattern = new Int32Array(value.buffer);
