import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CacheKey,
  hashFields,
  isCacheKey,
  type KeyValue,
  pictureBoundaryKeys,
  pictureKey,
  prefixChain,
  type PrefixUnit,
  type RowsKeyFields,
  rowsKey,
  snapshotKey,
  type SnapshotKeyFields,
} from "./cache-key.ts";

const hex = fc.stringMatching(/^[0-9a-f]{64}$/) as fc.Arbitrary<CacheKey>;
const text = fc.string({ unit: "binary" });

const value = fc.letrec<{ value: KeyValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    text,
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie("value")),
    fc.dictionary(text, tie("value")),
  ),
})).value;

const units = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 200_000 }) },
    { weight: 1, arbitrary: fc.record({ key: hex, rows: fc.integer({ min: 1, max: 4000 }) }) },
  ),
  { maxLength: 60 },
) as fc.Arbitrary<PrefixUnit[]>;

const A = "a".repeat(64) as CacheKey;
const B = "b".repeat(64) as CacheKey;

const ROWS: RowsKeyFields = {
  picture: A,
  preprocessing: { size: 336, filter: "bicubic", mean: [0.48, 0.45, 0.4] },
  budget: null,
  projector: [B],
  precision: "q8_0",
  device: "CPU",
  engineBuild: "3.21.1",
  tenant: "",
};

const SNAPSHOT: SnapshotKeyFields = {
  model: [A],
  projector: [B],
  keyType: "f16",
  valueType: "f16",
  layout: { unified: true, flashAttention: false },
  device: "CPU",
  engineBuild: "3.21.1",
  tenant: "",
};

describe("hashFields", () => {
  it("gives equal keys to equal values and to no others", () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(hashFields("x", a)).toMatch(/^[0-9a-f]{64}$/);
        expect(hashFields("x", a) === hashFields("x", b)).toBe(isSame(a, b));
        expect(hashFields("x", structuredClone(a))).toBe(hashFields("x", a));
      }),
      { numRuns: 500 },
    );
  });

  it("does not take a text for another that is cut elsewhere", () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), (whole, first, second) => {
        const cut = (place: number): string[] => {
          const at = place % (whole.length + 1);
          return [whole.slice(0, at), whole.slice(at)];
        };
        const [a, b] = [cut(first), cut(second)];
        expect(hashFields("x", a) === hashFields("x", b)).toBe(a[0] === b[0]);
        const [name = "", rest = ""] = a;
        const [otherName = "", otherRest = ""] = b;
        expect(hashFields("x", { [name]: rest }) === hashFields("x", { [otherName]: otherRest })).toBe(
          a[0] === b[0],
        );
      }),
    );
  });

  it("does not take a list for another that is nested or grouped otherwise", () => {
    const lists: KeyValue[] = [[], [[]], [[], []], [[[]]], [1, [2, 3]], [[1, 2], 3], [1, 2, 3], {}, [{}], ""];
    expect(new Set(lists.map((list) => hashFields("x", list))).size).toBe(lists.length);
  });

  it("tells types, labels and lone surrogates apart", () => {
    const values: KeyValue[] = [
      "1",
      1,
      true,
      null,
      "true",
      "null",
      new Uint8Array([49]),
      ["1"],
      "\ud800",
      "\ud801",
    ];
    expect(new Set(values.map((each) => hashFields("x", each))).size).toBe(values.length);
    expect(hashFields("x", 1)).not.toBe(hashFields("y", 1));
  });

  it("does not care about the order of names, or names without a value", () => {
    expect(hashFields("x", { a: 1, b: 2 })).toBe(hashFields("x", { b: 2, c: undefined, a: 1 }));
  });
});

describe("pictureKey", () => {
  it("is of pixels in a shape: the same bytes, wider or higher, are another picture", () => {
    const data = new Uint8Array(3 * 12);
    const keys = [1, 2, 3, 4, 6, 12].map((width) => pictureKey({ width, height: 12 / width, data }));
    expect(new Set(keys).size).toBe(6);
  });

  it("changes with every byte", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), fc.nat(11), fc.nat(7), (data, at, bit) => {
        const before = pictureKey({ width: 2, height: 2, data });
        data[at] = (data[at] ?? 0) ^ (1 << bit);
        expect(pictureKey({ width: 2, height: 2, data })).not.toBe(before);
      }),
    );
  });
});

describe("rowsKey and snapshotKey", () => {
  it("change with every field", () => {
    const rows: Partial<RowsKeyFields>[] = [
      {},
      { picture: B },
      { preprocessing: { size: 224, filter: "bicubic", mean: [0.48, 0.45, 0.4] } },
      { budget: { tokens: 144 } },
      { projector: [A] },
      { projector: [A, B] },
      { precision: "f16" },
      { device: "CUDA0" },
      { engineBuild: "3.21.2" },
      { tenant: "one" },
    ];
    expect(new Set(rows.map((change) => rowsKey({ ...ROWS, ...change }))).size).toBe(rows.length);
    const snapshots: Partial<SnapshotKeyFields>[] = [
      {},
      { model: [B] },
      { projector: [A] },
      { keyType: "q8_0" },
      { valueType: "q8_0" },
      { layout: { unified: false, flashAttention: false } },
      { device: "CUDA0" },
      { engineBuild: "3.21.2" },
      { tenant: "one" },
    ];
    expect(new Set(snapshots.map((change) => snapshotKey({ ...SNAPSHOT, ...change }, [1]))).size).toBe(
      snapshots.length,
    );
  });

  it("gives equal keys to equal prompts and to no others", () => {
    fc.assert(
      fc.property(units, units, (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        expect(snapshotKey(SNAPSHOT, a) === snapshotKey(SNAPSHOT, b)).toBe(same);
        expect(snapshotKey(SNAPSHOT, structuredClone(a))).toBe(snapshotKey(SNAPSHOT, a));
      }),
    );
  });

  it("does not take tokens for a picture whose bytes they spell", () => {
    const picture = { key: "0".repeat(64) as CacheKey, rows: 1 };
    const zeros = Array.from({ length: 7 }, () => 0);
    expect(snapshotKey(SNAPSHOT, [picture])).not.toBe(snapshotKey(SNAPSHOT, [1, ...zeros]));
    expect(snapshotKey(SNAPSHOT, [0, 1])).not.toBe(snapshotKey(SNAPSHOT, [1, 0]));
    expect(snapshotKey(SNAPSHOT, [{ ...picture, rows: 2 }])).not.toBe(snapshotKey(SNAPSHOT, [picture]));
  });
});

describe("prefixChain", () => {
  it("gives the key of every prefix, however the units are handed over", () => {
    fc.assert(
      fc.property(units, fc.array(fc.nat(20)), (prompt, steps) => {
        const chain = prefixChain(SNAPSHOT);
        let end = 0;
        for (const step of [...steps, prompt.length]) {
          chain.append(prompt.slice(end, end + step));
          end += step;
          expect(chain.key()).toBe(snapshotKey(SNAPSHOT, prompt.slice(0, end)));
        }
      }),
    );
  });

  it("knows the prefixes that end with a picture, longest first", () => {
    fc.assert(
      fc.property(units, (prompt) => {
        const expected = prompt
          .flatMap((unit, index) => (typeof unit === "number" ? [] : [index + 1]))
          .reverse()
          .map((end) => ({ key: snapshotKey(SNAPSHOT, prompt.slice(0, end)), units: end }));
        expect(pictureBoundaryKeys(SNAPSHOT, prompt)).toEqual(expected);
      }),
    );
  });
});

describe("isCacheKey", () => {
  it.each([
    "",
    "..",
    "a".repeat(63),
    "a".repeat(65),
    "A".repeat(64),
    `${"a".repeat(64)}\n`,
    `../${"a".repeat(61)}`,
    5,
  ])("refuses %j", (key) => expect(isCacheKey(key)).toBe(false));

  it("takes 64 lower-case hex digits", () => expect(isCacheKey(A)).toBe(true));
});

/** Same type, same content; names without order; numbers by their bits. */
function isSame(a: KeyValue | undefined, b: KeyValue | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array !== b instanceof Uint8Array || Array.isArray(a) !== Array.isArray(b))
    return false;
  const [namesOfA, namesOfB] = [Object.keys(a).sort(), Object.keys(b).sort()];
  const [x, y] = [a, b] as Record<string, KeyValue>[];
  return (
    namesOfA.length === namesOfB.length &&
    namesOfA.every((name, index) => name === namesOfB[index] && isSame(x?.[name], y?.[name]))
  );
}
