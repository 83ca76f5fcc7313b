import { toBfloat16Bits, toFloat16Bits } from "./float16.ts";
import { MullError } from "../spec/errors.ts";

/** Types that weights can be packed into here. */
export type PackedTypeName = "f32" | "f16" | "bf16" | "q8_0" | "q4_0";

const PACKERS: Record<PackedTypeName, (values: Float32Array) => Uint8Array> = {
  f32: packF32,
  f16: packF16,
  bf16: packBf16,
  q8_0: packQ8,
  q4_0: packQ4,
};

/** Packs whole rows of float32 into the bytes that a tensor of that type has in a file. */
export function quantize(type: PackedTypeName, values: Float32Array): Uint8Array {
  return PACKERS[type](values);
}

function packF32(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function packF16(values: Float32Array): Uint8Array {
  const packed = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) packed[index] = toFloat16Bits(values[index] ?? 0);
  return new Uint8Array(packed.buffer);
}

function packBf16(values: Float32Array): Uint8Array {
  const packed = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) packed[index] = toBfloat16Bits(values[index] ?? 0);
  return new Uint8Array(packed.buffer);
}

/** q8_0: blocks of 32; a half-precision scale, then 32 int8. Rounding as in ggml's quantize_row_q8_0_ref. */
function packQ8(values: Float32Array): Uint8Array {
  const blocks = blockCount(values);
  const packed = new Uint8Array(blocks * 34);
  const view = new DataView(packed.buffer);
  for (let block = 0; block < blocks; block++) {
    const row = values.subarray(block * 32, block * 32 + 32);
    let largest = 0;
    for (const value of row) largest = Math.max(largest, Math.abs(value));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    view.setUint16(block * 34, toFloat16Bits(scale), true);
    row.forEach((value, index) => {
      const scaled = Math.fround(value * inverse);
      // Halves go away from zero, unlike Math.round.
      view.setInt8(block * 34 + 2 + index, Math.sign(scaled) * Math.round(Math.abs(scaled)));
    });
  }
  return packed;
}

/**
 * q4_0: blocks of 32; a half-precision scale, then 16 bytes that hold value i in the low and value i + 16 in
 * the high half, each 0 to 15 for -8 to 7. Rounding as in ggml's quantize_row_q4_0_ref.
 */
function packQ4(values: Float32Array): Uint8Array {
  const blocks = blockCount(values);
  const packed = new Uint8Array(blocks * 18);
  const view = new DataView(packed.buffer);
  for (let block = 0; block < blocks; block++) {
    const row = values.subarray(block * 32, block * 32 + 32);
    let extreme = 0;
    for (const value of row) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
    // The value of largest magnitude becomes -8, the only step without a counterpart.
    const scale = Math.fround(extreme / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const nibble = (index: number): number =>
      Math.min(15, Math.trunc(Math.fround(Math.fround((row[index] ?? 0) * inverse) + 8.5)));
    view.setUint16(block * 18, toFloat16Bits(scale), true);
    for (let index = 0; index < 16; index++) {
      packed[block * 18 + 2 + index] = nibble(index) | (nibble(index + 16) << 4);
    }
  }
  return packed;
}

function blockCount(values: Float32Array): number {
  if (values.length % 32 === 0) return values.length / 32;
  throw new MullError("invalid_argument", `${values.length} values are not a whole number of blocks of 32`);
}
