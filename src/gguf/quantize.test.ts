import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dequantize } from "./dequantize.ts";
import { fromBfloat16Bits, fromFloat16Bits, toBfloat16Bits, toFloat16Bits } from "./float16.ts";
import { type PackedTypeName, quantize } from "./quantize.ts";

describe("16-bit floats", () => {
  const patterns = Array.from({ length: 65_536 }, (_, half) => half);

  test("every half-precision number survives the way to float32 and back", () => {
    const numbers = patterns.filter((half) => !Number.isNaN(fromFloat16Bits(half)));
    expect(numbers).toHaveLength(65_536 - 2 * 1023);
    expect(numbers.map((half) => toFloat16Bits(fromFloat16Bits(half)))).toEqual(numbers);
    expect(fromFloat16Bits(toFloat16Bits(NaN))).toBeNaN();
  });

  test("every bfloat16 number survives the way to float32 and back", () => {
    const numbers = patterns.filter((half) => !Number.isNaN(fromBfloat16Bits(half)));
    expect(numbers).toHaveLength(65_536 - 2 * 127);
    expect(numbers.map((half) => toBfloat16Bits(fromBfloat16Bits(half)))).toEqual(numbers);
    expect(fromBfloat16Bits(toBfloat16Bits(NaN))).toBeNaN();
  });

  test.each([
    [1 + 2 ** -11, 0x3c00, "a tie goes to the even neighbour below"],
    [1 + 3 * 2 ** -11, 0x3c02, "a tie goes to the even neighbour above"],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01, "more than half goes up"],
    [65_519, 0x7bff, "the last number that is not infinite"],
    [65_520, 0x7c00, "half a step beyond the largest number"],
    [1e30, 0x7c00, "far beyond"],
    [-1e30, 0xfc00, "far below"],
    [2 ** -25, 0, "half of the smallest number ties to zero"],
    [1.5 * 2 ** -24, 2, "a tie between subnormal numbers"],
    [-0, 0x8000, "negative zero"],
  ])("%d becomes half %i: %s", (value, half) => {
    expect(toFloat16Bits(value)).toBe(half);
  });

  test("bfloat16 rounds ties to even", () => {
    expect(toBfloat16Bits(1 + 2 ** -8)).toBe(0x3f80);
    expect(toBfloat16Bits(1 + 3 * 2 ** -8)).toBe(0x3f82);
  });
});

describe("quantize", () => {
  const values = Float32Array.from(
    { length: 32 },
    (_, i) => (((i * 37) % 64) - 31) * 0.0625 + (i % 5) * 0.01,
  );
  // Halves in each direction: ties decide here.
  const ties = Float32Array.from({ length: 32 }, (_, i) => 0.5 * ((i % 4) - 2));

  // Bytes as the gguf package for Python (part of llama.cpp) makes them.
  test.each<[PackedTypeName, Float32Array, string]>([
    ["q8_0", values, "1d248718b040d865fd9425bc4ae1720aa12fc657ee7f13ab3cd364f89020b849dd6e"],
    ["q4_0", values, "14b4cf369d047bd248bf268cf36ad137ae15"],
    ["q8_0", ties, "0820" + "81c00040".repeat(8)],
    ["q4_0", ties, "0030" + "004488cc".repeat(4)],
    ["f16", ties, "00bc00b800000038".repeat(8)],
    ["bf16", ties, "80bf00bf0000003f".repeat(8)],
    [
      "f16",
      values,
      "c0bf29362cbd1f3c2eb9803eb8aaecbebd3857bcc03cd7b7543ff63017be003a6cbb943d85b41440003576bda93bc3b9693e00b036bf2938a1bca93c80b80a3f",
    ],
    [
      "bf16",
      values,
      "f8bfc53ea5bf843f26bfd03f57bdddbf183f8bbf983ffbbeeb3f1f3ec3bf403f6dbfb33f91be0340a03eafbf753f38bfcd3f00bee7bf053f94bf953f10bfe13f",
    ],
  ])("%s gives the reference bytes", (type, input, hex) => {
    expect(Buffer.from(quantize(type, input)).toString("hex")).toBe(hex);
  });

  // Largest error of a value, relative to the largest magnitude in its block.
  test.each<[PackedTypeName, number]>([
    ["f32", 0],
    ["f16", 2 ** -11],
    ["bf16", 2 ** -8],
    ["q8_0", 0.5 / 127 + 2 ** -10],
    ["q4_0", 1 / 8 + 2 ** -10],
  ])("%s comes back within %d of the largest value", (type, tolerance) => {
    const number = fc
      .float({ noNaN: true, min: -1000, max: 1000 })
      .map((value) => (Math.abs(value) < 0.01 ? 0 : value));
    fc.assert(
      fc.property(fc.array(number, { minLength: 32, maxLength: 32 }), (numbers) => {
        const input = Float32Array.from(numbers);
        const output = dequantize(type, quantize(type, input));
        const largest = Math.max(...input.map(Math.abs));
        for (const [index, value] of input.entries()) {
          expect(Math.abs((output[index] ?? NaN) - value)).toBeLessThanOrEqual(tolerance * largest);
        }
      }),
    );
  });

  test("values that are no whole number of blocks are refused", () => {
    expect(() => quantize("q4_0", new Float32Array(33))).toThrow("33 values");
    expect(() => dequantize("q8_0", new Uint8Array(35))).toThrow("35 bytes");
    expect(() => dequantize("q6_K", new Uint8Array(210))).toThrow("q6_K cannot be unpacked");
  });
});
