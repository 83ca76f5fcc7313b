import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MetadataValue, bool, float32s, int32, string, strings, uint32 } from "./metadata.ts";
import { readGguf } from "./read.ts";
import { type TensorTypeName, tensorBytes } from "./tensor-types.ts";
import { type TensorSource, writeGguf } from "./write.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mull-gguf-"));
});
afterAll(() => rm(directory, { recursive: true }));

const scalar: fc.Arbitrary<MetadataValue> = fc.oneof(
  fc.record({ type: fc.constant("uint8" as const), value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ type: fc.constant("int8" as const), value: fc.integer({ min: -128, max: 127 }) }),
  fc.record({ type: fc.constant("uint16" as const), value: fc.integer({ min: 0, max: 65_535 }) }),
  fc.record({ type: fc.constant("int16" as const), value: fc.integer({ min: -32_768, max: 32_767 }) }),
  fc.record({ type: fc.constant("uint32" as const), value: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
  fc.record({ type: fc.constant("int32" as const), value: fc.integer() }),
  fc.record({ type: fc.constant("float32" as const), value: fc.float() }),
  fc.record({ type: fc.constant("float64" as const), value: fc.double() }),
  fc.record({ type: fc.constant("uint64" as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({
    type: fc.constant("int64" as const),
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  }),
  fc.record({ type: fc.constant("bool" as const), value: fc.boolean() }),
  fc.record({ type: fc.constant("string" as const), value: fc.string({ unit: "binary" }) }),
);

const array: fc.Arbitrary<MetadataValue> = fc.oneof(
  fc.array(fc.string({ unit: "binary" })).map((value) => strings(value)),
  fc.float32Array().map((value) => float32s(value)),
  fc.uint8Array().map((value): MetadataValue => ({ type: "array", items: "uint8", value })),
  fc.int16Array().map((value): MetadataValue => ({ type: "array", items: "int16", value })),
  fc.float64Array().map((value): MetadataValue => ({ type: "array", items: "float64", value })),
  fc.bigUint64Array().map((value): MetadataValue => ({ type: "array", items: "uint64", value })),
  fc
    .array(fc.boolean())
    .map((value): MetadataValue => ({ type: "array", items: "bool", value: Uint8Array.from(value, Number) })),
);

const name = fc.string({ minLength: 1, maxLength: 15, unit: "grapheme-ascii" });
const alignment = fc.constantFrom(8, 32, 64, 4096);
const metadata = fc
  .tuple(
    fc.uniqueArray(fc.tuple(name, fc.oneof(scalar, array)), { selector: ([key]) => key, maxLength: 12 }),
    alignment,
  )
  .map(
    ([entries, bytes]) => new Map<string, MetadataValue>([...entries, ["general.alignment", uint32(bytes)]]),
  );

const tensor = fc
  .tuple(
    name,
    fc.constantFrom<TensorTypeName>("f32", "f16", "i8", "q8_0", "q4_0"),
    fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  )
  .chain(([tensorName, type, lengths]) => {
    const shape = lengths.map((length, index) =>
      index === 0 && type.startsWith("q") ? length * 32 : length,
    );
    const bytes = tensorBytes(type, shape);
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map((data): TensorSource & { data: Uint8Array } => ({ name: tensorName, type, shape, data }));
  });
const tensors = fc.uniqueArray(tensor, { selector: (one) => one.name, maxLength: 8 });

describe("a written model", () => {
  test("reads back as it was", async () => {
    const path = join(directory, "round.gguf");
    await fc.assert(
      fc.asyncProperty(metadata, tensors, async (keys, sources) => {
        await writeGguf(path, { metadata: keys, tensors: sources });
        const gguf = await readGguf(path);
        expect(gguf.version).toBe(3);
        expect([...gguf.metadata]).toEqual([...keys]);
        expect([...gguf.tensors.keys()]).toEqual(sources.map((source) => source.name));
        for (const { name: tensorName, type, shape, data } of sources) {
          const info = gguf.requireTensor(tensorName);
          expect({ type: info.type, shape: info.shape }).toEqual({ type, shape });
          expect(info.offset % gguf.alignment).toBe(0);
          expect(await gguf.readTensor(info)).toEqual(data);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("reads back from any part when it is split", async () => {
    await fc.assert(
      fc.asyncProperty(
        tensors.filter((all) => all.length > 1),
        fc.integer({ min: 1, max: 3 }),
        async (sources, most) => {
          const into = await mkdtemp(join(directory, "split-"));
          const source = { metadata: { "general.name": string("split") }, tensors: sources };
          const paths = await writeGguf(join(into, "m.gguf"), source, { maxTensorsPerFile: most });
          for (const path of paths) {
            const gguf = await readGguf(path);
            expect(gguf.path).toBe(paths[0]);
            expect(gguf.paths).toEqual(paths);
            expect(gguf.string("general.name")).toBe("split");
            expect([...gguf.tensors.keys()]).toEqual(sources.map((one) => one.name));
            for (const one of sources)
              expect(await gguf.readTensor(gguf.requireTensor(one.name))).toEqual(one.data);
          }
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("writeGguf", () => {
  const row = (data: TensorSource["data"]): TensorSource => ({ name: "t", type: "f32", shape: [4], data });

  test("takes data in chunks that share one buffer", async () => {
    const path = join(directory, "chunks.gguf");
    const buffer = new Uint8Array(4);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let value = 1; value <= 4; value++) {
        yield await Promise.resolve(buffer.fill(value));
      }
    }
    await writeGguf(path, { metadata: {}, tensors: [row(chunks)] });
    const gguf = await readGguf(path);
    expect([...(await gguf.readTensor(gguf.requireTensor("t")))]).toEqual([
      1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
    ]);
  });

  test.each([15, 17])("refuses %i bytes for 16 and leaves no file behind", async (bytes) => {
    const into = await mkdtemp(join(directory, "refused-"));
    const writing = writeGguf(join(into, "x.gguf"), { metadata: {}, tensors: [row(new Uint8Array(bytes))] });
    await expect(writing).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("16 bytes"),
    });
    expect(await readdir(into)).toEqual([]);
  });

  test.each<[string, MetadataValue]>([
    ["negative", uint32(-1)],
    ["too large", uint32(2 ** 32)],
    ["fractional", int32(1.5)],
  ])("refuses a %s value instead of wrapping it", async (_, value) => {
    const writing = writeGguf(join(directory, "value.gguf"), { metadata: { key: value }, tensors: [] });
    await expect(writing).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("writes the bytes of the specification", async () => {
    const path = join(directory, "bytes.gguf");
    await writeGguf(path, { metadata: { k: bool(true) }, tensors: [row(new Uint8Array(16).fill(7))] });
    const header = [
      "47475546 03000000", // "GGUF", version 3
      "0100000000000000 0100000000000000", // one tensor, one key
      "0100000000000000 6b 07000000 01", // "k", bool, true
      "0100000000000000 74 01000000 0400000000000000 00000000 0000000000000000", // "t", [4], f32, offset 0
    ];
    const expected = Buffer.from(header.join("").replaceAll(" ", ""), "hex");
    const bytes = await readFile(path);
    expect(bytes.subarray(0, expected.length)).toEqual(expected);
    const dataStart = Math.ceil(expected.length / 32) * 32;
    expect(bytes.length).toBe(dataStart + 32);
    expect([...bytes.subarray(dataStart, dataStart + 17)]).toEqual([...Array<number>(16).fill(7), 0]);
  });
});

describe("readTensor", () => {
  const data = Uint8Array.from({ length: 40 }, (_, index) => index);
  const open = async (): ReturnType<typeof readGguf> => {
    const path = join(directory, "part.gguf");
    await writeGguf(path, { metadata: {}, tensors: [{ name: "t", type: "i8", shape: [40], data }] });
    return readGguf(path);
  };

  test("reads a part, into memory of the caller", async () => {
    const gguf = await open();
    const info = gguf.requireTensor("t");
    expect(await gguf.readTensor(info, { start: 3, length: 4 })).toEqual(data.slice(3, 7));
    const into = new Uint8Array(10);
    expect(await gguf.readTensor(info, { start: 30, into })).toBe(into);
    expect(into).toEqual(data.slice(30));
  });

  test.each([
    { start: 39, length: 2 },
    { start: -1, length: 2 },
    { start: 0, length: -1 },
    { start: 0.5, length: 2 },
    { length: 2, into: new Uint8Array(3) },
  ])("refuses the range %j", async (options) => {
    const gguf = await open();
    await expect(gguf.readTensor(gguf.requireTensor("t"), options)).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  test("says so when the file has gone or shrunk, and when it is cancelled", async () => {
    const gguf = await open();
    const info = gguf.requireTensor("t");
    await expect(gguf.readTensor(info, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
    await writeGguf(gguf.path, { metadata: {}, tensors: [] });
    await expect(gguf.readTensor(info)).rejects.toMatchObject({ code: "invalid_model" });
    await rm(gguf.path);
    await expect(gguf.readTensor(info)).rejects.toMatchObject({ code: "model_not_found" });
  });
});

describe("typed getters", () => {
  test("give the value, undefined for an absent key, and an error that says what is wrong", async () => {
    const path = join(directory, "getters.gguf");
    const keys = { s: string("x"), n: uint32(3), b: bool(false), ns: float32s([1, 2]), ss: strings(["a"]) };
    await writeGguf(path, { metadata: { ...keys, big: { type: "uint64", value: 2n ** 60n } }, tensors: [] });
    const gguf = await readGguf(path);
    expect([gguf.string("s"), gguf.number("n"), gguf.boolean("b")]).toEqual(["x", 3, false]);
    expect([...gguf.requireNumbers("ns"), ...gguf.requireStrings("ss")]).toEqual([1, 2, "a"]);
    expect(gguf.string("none")).toBeUndefined();
    expect(() => gguf.requireString("none")).toThrow(`${path}: metadata key "none" is missing`);
    expect(() => gguf.number("s")).toThrow(`${path}: metadata key "s" is string instead of a number`);
    expect(() => gguf.strings("ns")).toThrow(`"ns" is an array of float32 instead of an array of strings`);
    expect(() => gguf.number("big")).toThrow("out of range");
  });
});
