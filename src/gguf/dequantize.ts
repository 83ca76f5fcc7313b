import { fromBfloat16Bits, fromFloat16Bits } from "./float16.ts";
import { MullError } from "../spec/errors.ts";
import type { PackedTypeName } from "./quantize.ts";
import { TENSOR_TYPES, type TensorTypeName } from "./tensor-types.ts";

const UNPACKERS: Partial<Record<TensorTypeName, (view: DataView, values: Float32Array) => void>> = {
  f32: unpackF32,
  f16: unpackF16,
  bf16: unpackBf16,
  q8_0: unpackQ8,
  q4_0: unpackQ4,
} satisfies Record<PackedTypeName, unknown>;

/**
 * Unpacks the bytes of a tensor into float32.
 *
 * @throws MullError `invalid_argument` for another type than f32, f16, bf16, q8_0 and q4_0, or for bytes that
 *   are not whole blocks
 */
export function dequantize(type: TensorTypeName, bytes: Uint8Array): Float32Array {
  const { blockSize, blockBytes } = TENSOR_TYPES[type];
  const unpack = UNPACKERS[type];
  if (unpack === undefined) {
    throw new MullError("invalid_argument", `weights of type ${type} cannot be unpacked here`);
  }
  if (bytes.length % blockBytes !== 0) {
    throw new MullError("invalid_argument", `${bytes.length} bytes are not a whole number of ${type} blocks`);
  }
  const values = new Float32Array((bytes.length / blockBytes) * blockSize);
  unpack(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), values);
  return values;
}

function unpackF32(view: DataView, values: Float32Array): void {
  for (let index = 0; index < values.length; index++) values[index] = view.getFloat32(index * 4, true);
}

let float16Table: Float32Array | undefined;

function unpackF16(view: DataView, values: Float32Array): void {
  // Models hold hundreds of millions of these: looking all 65,536 patterns up beats computing each.
  float16Table ??= Float32Array.from({ length: 65_536 }, (_, half) => fromFloat16Bits(half));
  for (let index = 0; index < values.length; index++) {
    values[index] = float16Table[view.getUint16(index * 2, true)] ?? 0;
  }
}

function unpackBf16(view: DataView, values: Float32Array): void {
  for (let index = 0; index < values.length; index++) {
    values[index] = fromBfloat16Bits(view.getUint16(index * 2, true));
  }
}

function unpackQ8(view: DataView, values: Float32Array): void {
  for (let block = 0; block < values.length / 32; block++) {
    const scale = fromFloat16Bits(view.getUint16(block * 34, true));
    for (let index = 0; index < 32; index++) {
      values[block * 32 + index] = scale * view.getInt8(block * 34 + 2 + index);
    }
  }
}

function unpackQ4(view: DataView, values: Float32Array): void {
  for (let block = 0; block < values.length / 32; block++) {
    const scale = fromFloat16Bits(view.getUint16(block * 18, true));
    for (let index = 0; index < 16; index++) {
      const byte = view.getUint8(block * 18 + 2 + index);
      values[block * 32 + index] = scale * ((byte & 15) - 8);
      values[block * 32 + index + 16] = scale * ((byte >> 4) - 8);
    }
  }
}
