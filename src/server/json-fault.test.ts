import fc from "fast-check";
import { expect, it } from "vitest";
import { findJsonFault } from "./json-fault.ts";

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

it("finds a fault exactly when JSON.parse does", () => {
  const cut = fc.tuple(fc.json(), fc.nat(), fc.nat({ max: 3 }), fc.string({ maxLength: 3, unit: "binary" }));
  const mutated = cut.map(([text, at, length, inserted]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + inserted + text.slice(place + length);
  });
  const symbols = fc.stringMatching(/^[{}[\],:"\\u0-9\-+.eE truefalsn\n\t]{0,30}$/);
  fc.assert(
    fc.property(fc.oneof(mutated, symbols, fc.json()), (text) => {
      const fault = findJsonFault(text);
      expect(fault === undefined).toBe(parses(text));
      expect(fault?.position ?? 0).toBeLessThanOrEqual(text.length);
    }),
    { numRuns: 5000 },
  );
});

it.each([
  ["", 0, "it ends too early"],
  ['{"a":1,}', 7, "expected a name in double quotes"],
  ["[1,]", 3, "expected a value"],
  ["[1 2]", 3, 'expected "," or "]"'],
  ['{"a" 1}', 5, 'expected ":"'],
  ["{} x", 3, "expected nothing more"],
  ["[}", 1, "expected a value"],
  ['["a\nb"]', 3, "a string holds a control character"],
  [String.raw`["\x"]`, 2, "a string holds an escape that JSON does not know"],
  ['["a', 3, "a string is not closed"],
  ["'a'", 0, "expected a value"],
  ["01", 1, "expected nothing more"],
])("%j breaks at %d: %s", (text, position, problem) => {
  expect(findJsonFault(text)).toMatchObject({ position, problem });
});

it("counts lines, and minds neither depth nor length", () => {
  expect(findJsonFault('{\n  "a": 1,\n  b: 2\n}')).toMatchObject({ line: 3, column: 3 });
  expect(findJsonFault("[".repeat(1_000_000))).toMatchObject({ position: 1_000_000 });
  expect(findJsonFault(`"${String.raw`a\n`.repeat(1_000_000)}`)).toMatchObject({
    problem: "a string is not closed",
  });
});
