import { toBfloat16Bits, toFloat16Bits, fromBfloat16Bits, fromFloat16Bits } from "../../gguf/float16.ts";
import { MullError } from "../../spec/errors.ts";
import { EXPONENTS, allFinite } from "./finite-values.ts";
import { packQ8Blocks } from "./pack-q8-blocks.ts";
import type { FloatType, WeightType } from "./planned-tensor.ts";

export interface ConvertedValues {
  /** In the buffer that was given for them, or the source itself. */
  bytes: Uint8Array;
  /** Whether none of them is infinite or no number. A source with such a value gives one with such a value. */
  finite: boolean;
}

/**
 * Brings values from one type to another, as bit patterns: a model has billions of them, so there is no call per value,
 * and they are looked at once. 16-bit types go through tables of all their 65,536 patterns.
 *
 * @param from whole values; the start is aligned to 4 bytes
 * @param to buffer for the result, aligned alike and as long as it, or longer; not used if the types are the same
 */
export function convertValues(
  from: Uint8Array,
  source: FloatType,
  to: Uint8Array,
  target: WeightType,
): ConvertedValues {
  if (source === target) return { bytes: from, finite: allFinite(from, source) };
  if (target === "q8_0") return convertToQ8(from, source, to);
  const count = from.length / (source === "f32" ? 4 : 2);
  const bytes = to.subarray(0, count * (target === "f32" ? 4 : 2));
  if (target === "f32")
    return { bytes, finite: widen(from, source, new Int32Array(to.buffer, to.byteOffset, count)) };
  if (source === "f32")
    return { bytes, finite: narrow(from, target, new Uint16Array(to.buffer, to.byteOffset, count)) };
  const finite = lookUp(from, source === "bf16" ? bfloat16ToFloat16() : float16ToBfloat16(), bytes, target);
  return { bytes, finite };
}

/** Values that go through float32 on their way to blocks, at a time: they stay in the processor's cache. */
const Q8_STEP = 2 ** 14;
const floats = new Float32Array(Q8_STEP);

function convertToQ8(from: Uint8Array, source: FloatType, to: Uint8Array): ConvertedValues {
  const width = source === "f32" ? 4 : 2;
  const count = from.length / width;
  if (count % 32 !== 0) throw new MullError("internal", `${count} values are no whole blocks`);
  let finite = true;
  for (let start = 0; start < count; start += Q8_STEP) {
    const length = Math.min(Q8_STEP, count - start);
    const part = from.subarray(start * width, (start + length) * width);
    if (source === "f32") new Uint8Array(floats.buffer).set(part);
    else widen(part, source, new Int32Array(floats.buffer, 0, length));
    const packed = to.subarray((start / 32) * 34, ((start + length) / 32) * 34);
    finite = packQ8Blocks(floats.subarray(0, length), packed) && finite;
  }
  return { bytes: to.subarray(0, (count / 32) * 34), finite };
}

// Two values of 16 bits are read and written as one word of 32: half the loads and stores. What follows each loop is
// the odd one at the end.

function lookUp(from: Uint8Array, table: Uint16Array, to: Uint8Array, target: "f16" | "bf16"): boolean {
  const { mask, carry, signs } = EXPONENTS[target];
  const words = new Int32Array(from.buffer, from.byteOffset, from.length >>> 2);
  const out = new Int32Array(to.buffer, to.byteOffset, words.length);
  let seen = 0;
  for (let index = 0; index < words.length; index++) {
    const pair = words[index] as number;
    const found = (table[pair & 0xffff] as number) | ((table[pair >>> 16] as number) << 16);
    out[index] = found;
    seen |= ((found & mask) + carry) | 0;
  }
  for (let at = words.length * 4; at < from.length; at += 2) {
    const found = table[(from[at] as number) | ((from[at + 1] as number) << 8)] as number;
    to[at] = found;
    to[at + 1] = found >>> 8;
    seen |= (found & mask) + carry;
  }
  return (seen & signs) === 0;
}

/** 16 bits to float32. */
function widen(from: Uint8Array, source: FloatType, out: Int32Array): boolean {
  const { mask, carry, signs } = EXPONENTS[source];
  const words = new Int32Array(from.buffer, from.byteOffset, from.length >>> 2);
  const table = float16ToFloat32();
  let seen = 0;
  if (source === "bf16") {
    for (let index = 0; index < words.length; index++) {
      const pair = words[index] as number;
      out[2 * index] = pair << 16;
      out[2 * index + 1] = pair & 0xffff_0000;
      seen |= ((pair & mask) + carry) | 0;
    }
  } else {
    for (let index = 0; index < words.length; index++) {
      const pair = words[index] as number;
      out[2 * index] = table[pair & 0xffff] as number;
      out[2 * index + 1] = table[pair >>> 16] as number;
      seen |= ((pair & mask) + carry) | 0;
    }
  }
  for (let at = words.length * 4; at < from.length; at += 2) {
    const half = (from[at] as number) | ((from[at + 1] as number) << 8);
    out[at / 2] = source === "bf16" ? half << 16 : (table[half] as number);
    seen |= (half & mask) + carry;
  }
  return (seen & signs) === 0;
}

function narrow(from: Uint8Array, target: "f16" | "bf16", halves: Uint16Array): boolean {
  const floats = new Uint32Array(from.buffer, from.byteOffset, halves.length);
  return target === "f16" ? toFloat16(floats, halves) : toBfloat16(floats, halves);
}

/** Round to nearest, ties to even; from 65520 infinity. The same as `toFloat16Bits`, in a loop of integers. */
function toFloat16(floats: Uint32Array, halves: Uint16Array): boolean {
  let finite = true;
  for (let index = 0; index < halves.length; index++) {
    const pattern = floats[index] as number;
    const sign = (pattern >>> 16) & 0x8000;
    const magnitude = pattern & 0x7fff_ffff;
    if (magnitude >= 0x477f_f000) {
      halves[index] = sign | (magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00);
      finite = false;
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
  return finite;
}

function toBfloat16(floats: Uint32Array, halves: Uint16Array): boolean {
  let finite = true;
  for (let index = 0; index < halves.length; index++) {
    const pattern = floats[index] as number;
    const magnitude = pattern & 0x7fff_ffff;
    // From here on it is infinity, or rounds to it.
    if (magnitude >= 0x7f7f_8000) finite = false;
    const rounded = (pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16;
    halves[index] = magnitude > 0x7f80_0000 ? (pattern >>> 16) | 0x40 : rounded;
  }
  return finite;
}

// Made when they are first needed.

let float16ToFloat32Table: Int32Array | undefined;
let float16ToBfloat16Table: Uint16Array | undefined;
let bfloat16ToFloat16Table: Uint16Array | undefined;

function float16ToFloat32(): Int32Array {
  float16ToFloat32Table ??= new Int32Array(
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
