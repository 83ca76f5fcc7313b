import { toBfloat16Bits, toFloat16Bits, fromBfloat16Bits, fromFloat16Bits } from "../../gguf/float16.ts";
import { MullError } from "../../spec/errors.ts";
import { packQ8Blocks } from "./pack-q8-blocks.ts";
import type { WeightType } from "./planned-tensor.ts";

export type FloatType = Exclude<WeightType, "q8_0">;

/**
 * Brings values from one type to another, as bit patterns: a model has billions of them, so there is no call per value.
 * 16-bit types go through tables of all their 65,536 patterns.
 *
 * @param from whole values; the start is aligned to 4 bytes
 * @param to buffer for the result, aligned alike and as long as it, or longer; not used if the types are the same
 * @returns the result: in `to`, or `from` itself
 */
export function convertValues(
  from: Uint8Array,
  source: FloatType,
  to: Uint8Array,
  target: WeightType,
): Uint8Array {
  if (source === target) return from;
  if (target === "q8_0") return convertToQ8(from, source, to);
  const count = from.length / (source === "f32" ? 4 : 2);
  if (target === "f32")
    return widen(wordsOf(from, count), source, new Uint32Array(to.buffer, to.byteOffset, count));
  const halves = wordsOf(to, count);
  if (source === "f32") {
    const floats = new Uint32Array(from.buffer, from.byteOffset, count);
    if (target === "f16") toFloat16(floats, halves);
    else toBfloat16(floats, halves);
  } else {
    const table = source === "bf16" ? bfloat16ToFloat16() : float16ToBfloat16();
    const words = wordsOf(from, count);
    for (let index = 0; index < count; index++) halves[index] = table[words[index] as number] as number;
  }
  return to.subarray(0, count * 2);
}

/** Values that go through float32 on their way to blocks, at a time: they stay in the processor's cache. */
const Q8_STEP = 2 ** 14;
const floats = new Float32Array(Q8_STEP);

function convertToQ8(from: Uint8Array, source: FloatType, to: Uint8Array): Uint8Array {
  const width = source === "f32" ? 4 : 2;
  const count = from.length / width;
  if (count % 32 !== 0) throw new MullError("internal", `${count} values are no whole blocks`);
  for (let start = 0; start < count; start += Q8_STEP) {
    const length = Math.min(Q8_STEP, count - start);
    const part = from.subarray(start * width, (start + length) * width);
    if (source === "f32") new Uint8Array(floats.buffer).set(part);
    else widen(wordsOf(part, length), source, new Uint32Array(floats.buffer, 0, length));
    packQ8Blocks(floats.subarray(0, length), to.subarray((start / 32) * 34, ((start + length) / 32) * 34));
  }
  return to.subarray(0, (count / 32) * 34);
}

function wordsOf(bytes: Uint8Array, count: number): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
}

function widen(words: Uint16Array, source: "f16" | "bf16" | "f32", out: Uint32Array): Uint8Array {
  const count = words.length;
  if (source === "bf16") {
    for (let index = 0; index < count; index++) out[index] = (words[index] as number) << 16;
  } else {
    const table = float16ToFloat32();
    for (let index = 0; index < count; index++) out[index] = table[words[index] as number] as number;
  }
  return new Uint8Array(out.buffer, out.byteOffset, count * 4);
}

/** Round to nearest, ties to even; beyond 65504 infinity. The same as `toFloat16Bits`, in a loop of integers. */
function toFloat16(floats: Uint32Array, halves: Uint16Array): void {
  for (let index = 0; index < halves.length; index++) {
    const pattern = floats[index] as number;
    const sign = (pattern >>> 16) & 0x8000;
    const magnitude = pattern & 0x7fff_ffff;
    if (magnitude >= 0x4780_0000) {
      halves[index] = sign | (magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00);
    } else if (magnitude >= 0x3880_0000) {
      halves[index] = sign | ((magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude >= 0x3300_0000) {
      // Subnormal: the mantissa with its leading one, shifted to units of 2^-24.
      const mantissa = (magnitude & 0x7f_ffff) | 0x80_0000;
      const shift = 126 - (magnitude >>> 23);
      halves[index] = sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
    } else {
      halves[index] = sign;
    }
  }
}

function toBfloat16(floats: Uint32Array, halves: Uint16Array): void {
  for (let index = 0; index < halves.length; index++) {
    const pattern = floats[index] as number;
    const isNaN = (pattern & 0x7fff_ffff) > 0x7f80_0000;
    halves[index] = isNaN ? (pattern >>> 16) | 0x40 : (pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16;
  }
}

// Made when they are first needed.

let float16ToFloat32Table: Uint32Array | undefined;
let float16ToBfloat16Table: Uint16Array | undefined;
let bfloat16ToFloat16Table: Uint16Array | undefined;

function float16ToFloat32(): Uint32Array {
  float16ToFloat32Table ??= new Uint32Array(
    Float32Array.from({ length: 65_536 }, (_, half) => fromFloat16Bits(half)).buffer,
  );
  return float16ToFloat32Table;
}

function float16ToBfloat16(): Uint16Array {
  float16ToBfloat16Table ??= Uint16Array.from({ length: 65_536 }, (_, half) =>
    toBfloat16Bits(fromFloat16Bits(half)),
  );
  return float16ToBfloat16Table;
}

function bfloat16ToFloat16(): Uint16Array {
  bfloat16ToFloat16Table ??= Uint16Array.from({ length: 65_536 }, (_, half) =>
    toFloat16Bits(fromBfloat16Bits(half)),
  );
  return bfloat16ToFloat16Table;
}
