import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Extent, ExtentSet } from "./extents.ts";
import { RangePlan } from "./range-plan.ts";

const SIZE = 200;
const someExtents = fc.array(
  fc.record({ offset: fc.nat(SIZE - 30), length: fc.integer({ min: 1, max: 30 }), checksum: fc.nat() }),
  { maxLength: 40 },
);

/** By byte: the extent that has it. */
function model(extents: readonly Extent[]): (Extent | undefined)[] {
  let kept: Extent[] = [];
  for (const next of extents) {
    kept = kept.filter(
      ({ offset, length }) => offset + length <= next.offset || offset >= next.offset + next.length,
    );
    kept.push(next);
  }
  return Array.from({ length: SIZE }, (_, at) =>
    kept.find(({ offset, length }) => offset <= at && at < offset + length),
  );
}

describe("ExtentSet", () => {
  it("knows what is there, what is missing, and what follows", () => {
    fc.assert(
      fc.property(someExtents, fc.nat(SIZE - 1), (extents, at) => {
        const set = new ExtentSet();
        for (const extent of extents) set.add(extent);
        const bytes = model(extents);
        expect(set.bytes).toBe(bytes.filter((extent) => extent !== undefined).length);
        const missing = bytes.map((extent) => extent === undefined);
        for (const { start, end } of set.gaps(SIZE)) missing.fill(false, start, end);
        expect(missing.includes(true)).toBe(false);
        const run = set.from(at, SIZE);
        expect(run[0]).toBe(bytes[at]?.offset === at ? bytes[at] : undefined);
        let end = at;
        for (const { offset, length } of run) {
          expect(offset).toBe(end);
          end += length;
        }
        expect(bytes[end] === undefined || run.length === 0).toBe(true);
      }),
    );
  });

  it("forgets one", () => {
    fc.assert(
      fc.property(someExtents, (extents) => {
        const set = new ExtentSet();
        for (const extent of extents) set.add(extent);
        for (const extent of new Set(model(extents))) if (extent !== undefined) set.remove(extent);
        expect(set.bytes).toBe(0);
        expect([...set.gaps(SIZE)]).toEqual([{ start: 0, end: SIZE }]);
      }),
    );
  });
});

describe("RangePlan", () => {
  it("gives every missing byte to one connection", () => {
    const size = 100_000_000;
    const there = fc.array(
      fc.record({ offset: fc.nat(size - 8_000_000), length: fc.integer({ min: 1, max: 8_000_000 }) }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(
        there,
        fc.integer({ min: 1, max: 16 }),
        fc.infiniteStream(fc.boolean()),
        (extents, n, fails) => {
          const set = new ExtentSet();
          for (const extent of extents) set.add({ ...extent, checksum: 0 });
          const missing = size - set.bytes;
          const plan = new RangePlan(set, size, n);
          let fetched = 0;
          for (let range = plan.take(); range !== undefined; range = plan.take()) {
            const failed = fails.next().value as boolean;
            const end = failed ? Math.ceil((range.start + range.end) / 2) : range.end;
            // Two at a time never have the same.
            const other = plan.take();
            const overlaps = other !== undefined && other.start < range.end && other.end > range.start;
            expect(overlaps).toBe(false);
            if (other !== undefined) plan.release(other);
            set.add({ offset: range.start, length: end - range.start, checksum: 0 });
            fetched += end - range.start;
            plan.release(range);
          }
          expect(fetched).toBe(missing);
          expect(set.bytes).toBe(size);
          expect(plan.active).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });
});
