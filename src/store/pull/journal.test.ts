import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestOf } from "../digest.ts";
import { type Extent, MOST_EXTENT_BYTES } from "./extents.ts";
import { digestLine, extentLine, headerLine, type Journal, parseJournal } from "./journal.ts";

const NAME = "ab".repeat(32);
const SIZE = 40 * MOST_EXTENT_BYTES;

/** Extents that follow each other. */
const someExtents = fc
  .array(
    fc.record({ length: fc.integer({ min: 1, max: MOST_EXTENT_BYTES }), checksum: fc.nat(0xffff_ffff) }),
    { maxLength: 30 },
  )
  .map((parts) => {
    let offset = 0;
    return parts.map(({ length, checksum }): Extent => {
      offset += length;
      return { offset: offset - length, length, checksum };
    });
  });

const textOf = (extents: readonly Extent[]): string =>
  headerLine(SIZE, NAME) + extents.map(extentLine).join("");
const parse = (text: string): Journal | undefined => parseJournal(Buffer.from(text, "latin1"));

describe("a journal", () => {
  it("says what was written into it", () => {
    fc.assert(
      fc.property(someExtents, (extents) => {
        const journal = parse(textOf(extents));
        expect(journal).toMatchObject({ size: SIZE, name: NAME, digest: undefined });
        expect(journal?.extents.from(0, SIZE)).toEqual(extents);
      }),
    );
  });

  it("says nothing that was not, whatever happens to its bytes", () => {
    fc.assert(
      fc.property(
        someExtents,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
        fc.nat(),
        (extents, flips, cut) => {
          const bytes = Buffer.from(textOf(extents), "latin1");
          for (const [at, bits] of flips) bytes[at % bytes.length]! ^= bits;
          const journal = parseJournal(bytes.subarray(0, cut % (bytes.length + 1)));
          const written = new Set(extents.map(extentLine));
          let end = 0;
          for (const gap of [...(journal?.extents.gaps(SIZE) ?? []), { start: SIZE, end: SIZE }]) {
            if (journal === undefined) break;
            for (const extent of journal.extents.from(end, SIZE)) {
              expect(written.has(extentLine(extent))).toBe(true);
            }
            end = gap.end;
          }
        },
      ),
    );
  });

  it("never fails", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(parseJournal(bytes)).toBeUndefined();
      }),
    );
  });

  it("knows what the blob turned out to be", () => {
    const digest = digestOf(Buffer.from("x"));
    expect(parse(headerLine(1, NAME) + digestLine(digest))?.digest).toBe(digest);
  });

  it("goes on after a torn line", () => {
    const [one, two] = [
      { offset: 0, length: 5, checksum: 1 },
      { offset: 5, length: 5, checksum: 2 },
    ] as const;
    const text = `${textOf([one]).slice(0, -4)}\n${extentLine(two)}`;
    expect(parse(text)?.extents.bytes).toBe(5);
    expect(parse(text)?.extents.from(5, 1)).toEqual([two]);
  });

  it.each([
    ["a piece beyond the end", { offset: SIZE - 1, length: 2, checksum: 0 }],
    ["a piece of nothing", { offset: 0, length: 0, checksum: 0 }],
    ["a piece that is too large", { offset: 0, length: MOST_EXTENT_BYTES + 1, checksum: 0 }],
  ])("does not take %s", (_, extent) => {
    expect(parse(textOf([extent]))?.extents.bytes).toBe(0);
  });
});
