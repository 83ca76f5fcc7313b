import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BudgetedPicture, rowsForBudget, shrinkAdvice, shrinkToFit } from "./image-budget.ts";
import { REDUCTION_METHODS } from "./reduce-rows.ts";

const LLAVA = { rows: 24, columns: 24 };

describe("rowsForBudget", () => {
  test.each([
    [{}, 576],
    [{ detail: "auto" }, 576],
    [{ detail: "high" }, 576],
    [{ detail: "low" }, 144],
    [{ maxTokens: 100 }, 100],
    [{ maxTokens: 1 }, 1],
    [{ maxTokens: 1000 }, 576],
    [{ detail: "low", maxTokens: 100 }, 100],
    [{ detail: "low", maxTokens: 200 }, 144],
    [{ detail: "high", maxTokens: 200 }, 200],
  ] as const)("%o of 576 rows: %i", (request, expected) => {
    expect(rowsForBudget(LLAVA, request)).toBe(expected);
    expect(rowsForBudget(576, request)).toBe(expected);
  });

  test("leaves one row of a picture with few", () => {
    expect(rowsForBudget(3, { detail: "low" })).toBe(1);
  });

  test("gives what a grid average can make: whole grids", () => {
    expect(rowsForBudget(LLAVA, { maxTokens: 300 }, "grid average")).toBe(17 * 17);
    expect(rowsForBudget(LLAVA, { maxTokens: 145 }, "grid average")).toBe(144);
    expect(rowsForBudget(576, { maxTokens: 300 }, "grid average")).toBe(300);
  });

  test.each([0, -1, 1.5, NaN, Infinity, "many", null, 10n])("refuses maxTokens %s", (maxTokens) => {
    expect(() => rowsForBudget(LLAVA, { maxTokens: maxTokens as number, name: "scan.png" })).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        message: `The maxTokens of scan.png is ${maxTokens}.`,
      }),
    );
  });

  test("refuses an unknown detail", () => {
    expect(() => rowsForBudget(LLAVA, { detail: "medium" as "low" })).toThrow(
      expect.objectContaining({ code: "invalid_argument", message: "The detail of a picture is medium." }),
    );
  });
});

const picture = (asked: number, name?: string): BudgetedPicture => ({
  native: 576,
  asked,
  grid: LLAVA,
  name,
});

describe("shrinkToFit", () => {
  test("leaves what fits", () => {
    expect(shrinkToFit([picture(576), picture(144)], 720)).toEqual([576, 144]);
    expect(shrinkToFit([], 0)).toEqual([]);
  });

  test("divides in proportion", () => {
    expect(shrinkToFit([picture(576), picture(144)], 360)).toEqual([288, 72]);
    expect(shrinkToFit([picture(576), picture(576), picture(576)], 1000)).toEqual([333, 333, 334]);
  });

  test("gives none less than 16, or what it asks for", () => {
    expect(shrinkToFit([picture(576), picture(20), picture(9)], 125)).toEqual([100, 16, 9]);
  });

  test("gives up when there is no room for that", () => {
    expect(shrinkToFit([picture(576), picture(576)], 31)).toBeUndefined();
    expect(shrinkToFit([picture(576), picture(576)], 32)).toEqual([16, 16]);
    expect(shrinkToFit([picture(576)], -5)).toBeUndefined();
    expect(shrinkToFit([picture(576)], NaN)).toBeUndefined();
  });

  test("gives what a grid average can make", () => {
    expect(shrinkToFit([picture(576), picture(576)], 600, "grid average")).toEqual([17 * 17, 17 * 17]);
  });

  const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
  const request = fc
    .record({
      limits: fc.array(fc.integer({ min: 1, max: 576 }), { minLength: 1, maxLength: 8 }),
      room: fc.integer({ min: 0, max: 3000 }),
      method: fc.constantFrom(...REDUCTION_METHODS),
    })
    .map(({ limits, room, method }) => {
      const asked = limits.map((maxTokens) => rowsForBudget(LLAVA, { maxTokens }, method));
      const least = asked.map((rows) => Math.min(16, rows));
      return { asked, least, room, method, pictures: asked.map((rows) => picture(rows)) };
    });

  test("gives up exactly when the least does not fit", () => {
    fc.assert(
      fc.property(request, ({ pictures, least, room, method }) => {
        expect(shrinkToFit(pictures, room, method) === undefined).toBe(total(least) > room);
      }),
    );
  });

  test("always fits, and gives each at least the least and at most what it asked for", () => {
    fc.assert(
      fc.property(request, ({ pictures, asked, least, room, method }) => {
        const rows = shrinkToFit(pictures, room, method) ?? [];
        expect(total(rows)).toBeLessThanOrEqual(room);
        for (const [index, count] of rows.entries()) {
          expect(count).toBeGreaterThanOrEqual(least[index] as number);
          expect(count).toBeLessThanOrEqual(asked[index] as number);
        }
      }),
    );
  });

  test("uses the whole room, and gives more to who asks for more, where any number of rows can be made", () => {
    fc.assert(
      fc.property(request, ({ pictures, asked, room }) => {
        const rows = shrinkToFit(pictures, room, "similarity merge");
        fc.pre(rows !== undefined);
        expect(total(rows)).toBe(Math.min(room, total(asked)));
        const bySize = asked.map((_, index) => index).toSorted((a, b) => (asked[a] ?? 0) - (asked[b] ?? 0));
        expect(bySize.map((index) => rows[index])).toEqual(rows.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe("shrinkAdvice", () => {
  const tail = "tokens (maxTokens), or let pictures be shrunk to fit (overflow: shrink).";

  test("names the largest picture and what is left for it", () => {
    expect(shrinkAdvice([picture(144, "logo.png"), picture(576, "scan.png")], 432)).toBe(
      `Or shrink picture 2 (scan.png) to at most 288 ${tail}`,
    );
  });

  test("calls a picture without a name by its number", () => {
    expect(shrinkAdvice([picture(576, "image 1")], 100)).toBe(`Or shrink picture 1 to at most 100 ${tail}`);
    expect(shrinkAdvice([picture(576)], 16)).toBe(`Or shrink picture 1 to at most 16 ${tail}`);
  });

  test("says how many rows each may take where shrinking one is not enough", () => {
    expect(shrinkAdvice([picture(576), picture(576), picture(50)], 450)).toBe(
      `Or shrink every picture to at most 200 ${tail}`,
    );
  });

  test("is silent when all fits, and when nothing helps", () => {
    expect(shrinkAdvice([picture(576)], 576)).toBeUndefined();
    expect(shrinkAdvice([], 0)).toBeUndefined();
    expect(shrinkAdvice([picture(576)], 15)).toBeUndefined();
    expect(shrinkAdvice([picture(576), picture(576)], 31)).toBeUndefined();
  });

  test("followed to the letter, makes it fit; and there is some whenever shrinking to fit is possible", () => {
    const asked = fc.array(fc.integer({ min: 1, max: 576 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(asked, fc.integer({ min: -10, max: 3000 }), (rows, room) => {
        const pictures = rows.map((count) => picture(count));
        const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
        const advice = shrinkAdvice(pictures, room);
        const helps = total(rows) > room && shrinkToFit(pictures, room) !== undefined;
        expect(advice !== undefined).toBe(helps);
        fc.pre(advice !== undefined);
        const [, number, every, limit] =
          /(?:picture (\d+)|(every picture)) to at most (\d+)/.exec(advice) ?? [];
        const followed = rows.map((count, index) =>
          every !== undefined || Number(number) === index + 1 ? Math.min(count, Number(limit)) : count,
        );
        expect(total(followed)).toBeLessThanOrEqual(room);
      }),
    );
  });
});
