/**
 * IEEE 754 half precision and bfloat16 as bit patterns, rounding to nearest, ties to even.
 * (Node 20 has no Float16Array.)
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** @returns 16 bits of half precision; beyond 65504 infinity */
export function toFloat16Bits(value: number): number {
  float[0] = value;
  const pattern = bits[0] ?? 0;
  const sign = (pattern >>> 16) & 0x8000;
  const magnitude = pattern & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x4780_0000) return sign | 0x7c00; // 2^16 and more
  if (magnitude < 0x3880_0000) {
    // Below 2^-14: adding 0.5 makes the FPU round the subnormal's ten bits into the lowest mantissa bits.
    float[0] = Math.abs(value) + 0.5;
    return sign | ((bits[0] ?? 0) - 0x3f00_0000);
  }
  // Re-bias the exponent by 15 - 127 and round away 13 bits; a carry runs into the exponent, as it should.
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x3800_0000 + 0xfff + odd) >>> 13);
}

export function fromFloat16Bits(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

export function toBfloat16Bits(value: number): number {
  float[0] = value;
  const pattern = bits[0] ?? 0;
  if ((pattern & 0x7fff_ffff) > 0x7f80_0000) return (pattern >>> 16) | 0x40; // NaN stays a quiet NaN
  const odd = (pattern >>> 16) & 1;
  return ((pattern + 0x7fff + odd) >>> 16) & 0xffff;
}

export function fromBfloat16Bits(half: number): number {
  bits[0] = half << 16;
  return float[0] ?? 0;
}
