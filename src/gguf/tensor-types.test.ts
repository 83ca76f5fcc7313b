import { describe, expect, test } from "vitest";
import { TENSOR_TYPES, type TensorTypeName, tensorBytes, tensorTypeName } from "./tensor-types.ts";

describe("tensorBytes", () => {
  test.each<[TensorTypeName, number[], number]>([
    ["f32", [3, 5], 60],
    ["f16", [14, 14, 3, 1024], 14 * 14 * 3 * 1024 * 2],
    ["q4_0", [4096, 32_000], (4096 / 32) * 18 * 32_000],
    ["q8_0", [64, 2], 4 * 34],
    ["q6_K", [256], 210],
    ["q4_K", [512, 3], 6 * 144],
  ])("%s %j takes %d bytes", (type, shape, bytes) => {
    expect(tensorBytes(type, shape)).toBe(bytes);
  });

  test.each<[TensorTypeName, number[], string]>([
    ["f32", [], "0 dimensions"],
    ["f32", [1, 1, 1, 1, 1], "5 dimensions"],
    ["f32", [0], "positive integer"],
    ["f32", [-4], "positive integer"],
    ["f32", [1.5], "positive integer"],
    ["q4_0", [48, 2], "not a multiple of 32"],
    ["f32", [2 ** 40, 2 ** 40], "2^53 elements"],
    ["f64", [2 ** 52], "2^53 bytes"],
  ])("%s %j is refused: %s", (type, shape, problem) => {
    expect(() => tensorBytes(type, shape)).toThrow(problem);
  });

  test("numbers and names are one to one", () => {
    for (const [name, type] of Object.entries(TENSOR_TYPES)) expect(tensorTypeName(type.id)).toBe(name);
    expect(tensorTypeName(4)).toBeUndefined();
  });
});
