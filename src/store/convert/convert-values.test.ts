import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dequantize } from "../../gguf/dequantize.ts";
import { quantize } from "../../gguf/quantize.ts";
import { convertValues } from "./convert-values.ts";
import { countNonFinite } from "./finite-values.ts";
import type { FloatType, WeightType } from "./planned-tensor.ts";

/** All 65,536 patterns of a 16-bit type. */
const patterns = new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, word) => word).buffer);

/** Any pattern of float32, and many near the edges of half precision. */
const floats = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.integer({ min: 0x3200_0000, max: 0x3900_0000 }),
  fc.integer({ min: 0xb200_0000, max: 0xb900_0000 }),
  fc.integer({ min: 0x4770_0000, max: 0x4790_0000 }),
  fc.constantFrom(
    0,
    0x8000_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x3300_0000,
    0x3300_0001,
    0x387f_ffff,
    0x477f_efff,
    0x477f_f000,
  ),
);

function convert(bytes: Uint8Array, from: FloatType, to: WeightType): Uint8Array {
  const result = convertValues(bytes, from, new Uint8Array(bytes.length * 2 + 64), to);
  expect(result.finite).toBe(countNonFinite(result.bytes, to) === 0);
  return result.bytes;
}

/** NaNs have many patterns: all become one. */
function settle(bytes: Uint8Array, type: WeightType): Float32Array {
  return dequantize(type, bytes);
}

describe("conversion of values", () => {
  const types: readonly FloatType[] = ["f32", "f16", "bf16"];

  it.each(["f16", "bf16"] as const)("gives the nearest values of all patterns of %s", (from) => {
    for (const to of types) {
      const expected = quantize(to, dequantize(from, patterns));
      expect(settle(convert(patterns, from, to), to)).toEqual(settle(expected, to));
    }
  });

  it("gives the nearest values of float32", () => {
    fc.assert(
      fc.property(fc.array(floats, { minLength: 1, maxLength: 50 }), (list) => {
        const bytes = new Uint8Array(Uint32Array.from(list).buffer);
        const values = new Float32Array(bytes.buffer);
        for (const to of types) {
          expect(settle(convert(bytes, "f32", to), to)).toEqual(settle(quantize(to, values), to));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each(types)("packs %s into the same blocks as the slow way", (from) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(fc.double({ min: -4, max: 4, noNaN: true })),
        fc.constantFrom(0, 1e-30, 1e-6, 1, 900),
        (blocks, stream, scale) => {
          const values = Float32Array.from({ length: blocks * 32 }, () => (stream.next().value ?? 0) * scale);
          const source = quantize(from, values);
          const expected = quantize("q8_0", dequantize(from, source));
          expect(Buffer.from(convert(Uint8Array.from(source), from, "q8_0"))).toEqual(Buffer.from(expected));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("packs more blocks than it takes at a time", () => {
    const values = Float32Array.from(
      { length: 32 * 2000 },
      (_, index) => Math.sin(index * index) * (index % 100),
    );
    expect(Buffer.from(convert(new Uint8Array(values.buffer), "f32", "q8_0"))).toEqual(
      Buffer.from(quantize("q8_0", values)),
    );
  });

  it("leaves values of the same type where they are", () => {
    expect(convertValues(patterns, "f16", new Uint8Array(0), "f16").bytes).toBe(patterns);
  });
});

describe("values that are not finite", () => {
  it.each(["f16", "bf16"] as const)("are counted among all patterns of %s", (type) => {
    const expected = dequantize(type, patterns).filter((value) => !Number.isFinite(value)).length;
    expect(countNonFinite(patterns, type)).toBe(expected);
  });

  it("are counted wherever they are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("f32", "f16", "bf16"),
        fc.array(floats, { maxLength: 40 }),
        (type, list) => {
          const bytes = Uint8Array.from(quantize(type, new Float32Array(Uint32Array.from(list).buffer)));
          const expected = dequantize(type, bytes).filter((value) => !Number.isFinite(value)).length;
          expect(countNonFinite(bytes, type)).toBe(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("are told by the scale of a block", () => {
    const values = new Float32Array(96).fill(1);
    values[40] = 9e6;
    expect(countNonFinite(convert(new Uint8Array(values.buffer), "f32", "q8_0"), "q8_0")).toBe(1);
  });
});
