import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accepts } from "./automaton.ts";
import { Budget } from "./budget.ts";
import { compile } from "./compile.ts";
import { integersBetween, numbersBetween, toDecimal } from "./number-language.ts";
import { patternAutomaton } from "./pattern.ts";

const pattern = (source: string) =>
  patternAutomaton(source, new Budget(), (why) => {
    throw new Error(why);
  });

/** The pattern's automaton; a case with one that is refused for its size says nothing here. */
function withinLimits(source: string): ReturnType<typeof pattern> {
  try {
    return pattern(source);
  } catch (error) {
    fc.pre(!/too complex/.test((error as Error).message));
    throw error;
  }
}

describe("patterns", () => {
  const letters = fc.constantFrom("a", "b", "-", "1", "é", "😀");
  const atom = fc.constantFrom(
    "a",
    "b",
    ".",
    "\\d",
    "[ab]",
    "[^a]",
    "[a-]",
    "\\w",
    "é",
    "😀",
    "[\\-b]",
    "\\.",
    "(?:ab|)",
    "^",
    "$",
  );
  const quantified = fc
    .tuple(atom, fc.constantFrom("", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "+?"))
    .map(([item, quantifier]) => (item === "^" || item === "$" ? item : item + quantifier));
  const sequence = fc.array(quantified, { maxLength: 5 }).map((items) => items.join(""));
  const source = fc
    .tuple(fc.constantFrom("", "", "(?=a)", "(?!.*b)", "(?!a$)"), sequence, sequence, fc.boolean())
    .map(([ahead, a, b, group]) => (group ? `${ahead}(${a}|${b})` : `${ahead}${a}|${b}`));

  it("accept what ECMAScript's own accept", () => {
    fc.assert(
      fc.property(
        source,
        fc.array(fc.array(letters, { maxLength: 6 }), { maxLength: 20 }),
        (source, texts) => {
          // An anchor is a letter here: twice the same in a row has no counterpart.
          const branches = source
            .replaceAll("(?:ab|)", "x")
            .replaceAll("[^a]", "x")
            .replaceAll("(?!a$)", "")
            .split("|");
          fc.pre(!branches.some((branch) => /\^.*\^|\$.*[$^]|\^\)?[*]|\$[*]/.test(branch)));
          const automaton = withinLimits(source);
          const expected = new RegExp(source, "u");
          for (const letters of texts) {
            const text = letters.join("");
            expect(accepts(automaton, text), `${source} on ${JSON.stringify(text)}`).toBe(
              expected.test(text),
            );
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("numbers", () => {
  const decimal = fc
    .tuple(fc.integer({ min: -3000, max: 3000 }), fc.constantFrom(1, 10, 100))
    .map(([n, d]) => n / d);

  it("integers between two limits", () => {
    const bound = fc.oneof(fc.integer({ min: -1200, max: 1200 }), fc.maxSafeInteger());
    fc.assert(
      fc.property(bound, bound, fc.array(bound), (a, b, values) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const automaton = compile(integersBetween(BigInt(low), BigInt(high)), new Budget());
        for (const value of [...values, low, high, low - 1, high + 1, 0]) {
          if (!Number.isSafeInteger(value)) continue;
          expect(accepts(automaton, String(value)), `${value} in ${low}..${high}`).toBe(
            low <= value && value <= high,
          );
        }
        for (const text of ["", "-", "-0", "00", "01", "1.0"]) expect(accepts(automaton, text)).toBe(false);
      }),
    );
  });

  it("decimals between two limits", () => {
    fc.assert(
      fc.property(
        fc.option(decimal),
        fc.option(decimal),
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.oneof(decimal, fc.double({ min: -50, max: 50, noNaN: true }))),
        (min, max, aboveMin, belowMax, values) => {
          fc.pre(min !== null || max !== null);
          const bound = (value: number | null, exclusive: boolean) =>
            value === null ? undefined : { decimal: toDecimal(value)!, exclusive };
          const automaton = numbersBetween(bound(min, aboveMin), bound(max, belowMax), new Budget());
          for (const value of [...values, min ?? 0, max ?? 0, 0, -1, 1]) {
            const text = value.toFixed(9).replace(/0+$/, "").replace(/\.$/, "").replace(/^-0$/, "0");
            const number = Number(text);
            const valid =
              (min === null || (aboveMin ? number > min : number >= min)) &&
              (max === null || (belowMax ? number < max : number <= max));
            expect(accepts(automaton, text), `${text} in ${min}..${max}`).toBe(valid);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
