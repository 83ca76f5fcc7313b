import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MullError } from "../../spec/errors.ts";
import { parseKeepAlive } from "./keep-alive.ts";

describe("parseKeepAlive", () => {
  it.each([
    [300, 300_000],
    [0, 0],
    [0.5, 500],
    [-1, Number.POSITIVE_INFINITY],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["2h45m30.5s", 9_930_500],
    ["500ms", 500],
    ["0", 0],
    ["0s", 0],
    ["-0s", 0],
    ["+1s", 1000],
    ["-1s", Number.POSITIVE_INFINITY],
    ["-1m", Number.POSITIVE_INFINITY],
  ])("makes %j into %d ms", (value, milliseconds) =>
    expect(parseKeepAlive(value)).toBeCloseTo(milliseconds, 6),
  );

  it.each(["", "5", "-1", "5 m", "5x", "m", "1h-5m", ".s", "five minutes", "1e3s", "Infinity"])(
    "refuses %j",
    (value) => expect(() => parseKeepAlive(value)).toThrow(/invalid duration/),
  );

  it("reads any text without more than an error", () => {
    const unit = fc.constantFrom("1", ".", "-", "+", "h", "m", "s", "u", "n", "\u00b5");
    const read = (text: string): boolean => {
      try {
        return parseKeepAlive(text) >= 0;
      } catch (error) {
        return MullError.is(error);
      }
    };
    fc.assert(
      fc.property(fc.string({ unit }), (text) => {
        expect(read(text)).toBe(true);
      }),
    );
  });
});
