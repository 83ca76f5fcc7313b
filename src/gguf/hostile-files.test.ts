import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeHeader } from "./encode-header.ts";
import { type MetadataValue, float32s, string, strings, uint32 } from "./metadata.ts";
import { MullError } from "../spec/errors.ts";
import { readGguf } from "./read.ts";

let directory: string;
let path: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mull-hostile-"));
  path = join(directory, "x.gguf");
});
afterAll(() => rm(directory, { recursive: true }));

// The container, written down a second time and byte by byte, so that it can be wrong anywhere.
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
};
const text = (value: string | Buffer): Buffer =>
  Buffer.concat([u64(Buffer.from(value).length), Buffer.from(value)]);
const head = (tensors: bigint | number, keys: bigint | number, version = 3): Buffer =>
  Buffer.concat([Buffer.from("GGUF"), u32(version), u64(tensors), u64(keys)]);
const [BOOL, STRING, ARRAY, UINT32] = [7, 8, 9, 4].map(u32) as [Buffer, Buffer, Buffer, Buffer];
const tensor = (
  name: string | Buffer,
  shape: (bigint | number)[],
  type: number,
  offset: bigint | number,
): Buffer => Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
const key = (name: string | Buffer, ...value: Buffer[]): Buffer => Buffer.concat([text(name), ...value]);
const DATA = Buffer.alloc(4096);

const HALF_OF_2_64 = 0x7fff_ffff_ffff_ffc0n;
const CORPUS: Record<string, [Buffer[], RegExp]> = {
  "only the magic number": [[Buffer.from("GGUF")], /ends inside the version/],
  "cut in the counts": [[head(0, 0).subarray(0, 20)], /ends inside the number of metadata keys/],
  "version 0": [[head(0, 0, 0)], /version 0 is not supported/],
  "version 1": [[head(0, 0, 1)], /version 1 is not supported/],
  "version 4": [[head(0, 0, 4)], /version 4 is not supported/],
  "big endian": [[head(0, 0, 0x0300_0000)], /big endian/],
  "2^64 - 1 keys": [[head(0, -1n)], /number of metadata keys is 18446744073709551615/],
  "2^63 keys": [[head(0, 2n ** 63n)], /number of metadata keys/],
  "2^64 - 1 tensors": [[head(-1n, 0)], /number of tensors/],
  "65,537 tensors": [[head(65_537, 0), DATA], /number of tensors is 65537/],
  "fewer keys than announced": [
    [head(0, 2), key("a", BOOL, Buffer.from([1]))],
    /ends inside metadata key 2 of 2|the length of metadata key 2/,
  ],
  "an empty key": [[head(0, 1), key("", BOOL, Buffer.from([1]))], /has 0 bytes/],
  "a key of 2^64 - 1 bytes": [[head(0, 1), u64(-1n), DATA], /length of metadata key 1 of 1/],
  "a key of 65,536 bytes": [
    [head(0, 1), key("k".repeat(65_536), BOOL, Buffer.from([1]))],
    /65536 bytes instead of/,
  ],
  "a key twice": [
    [head(0, 2), key("a", BOOL, Buffer.from([1])), key("a", BOOL, Buffer.from([1]))],
    /"a" appears twice/,
  ],
  "a key that is not UTF-8": [
    [head(0, 1), key(Buffer.from([0xff, 0xfe]), BOOL, Buffer.from([1]))],
    /not plain text/,
  ],
  "a key with an ANSI escape": [[head(0, 1), key("\u001b[31mred", BOOL, Buffer.from([1]))], /not plain text/],
  "a value of unknown type": [[head(0, 1), key("a", u32(13), DATA)], /unknown type 13/],
  "a string of 2^40 bytes": [
    [head(0, 1), key("a", STRING, u64(2n ** 40n)), DATA],
    /length of the value of "a" is 1099511627776/,
  ],
  "a string past the end": [[head(0, 1), key("a", STRING, u64(5000)), DATA], /only 4096 are left/],
  "an array of 2^33 numbers": [
    [head(0, 1), key("a", ARRAY, UINT32, u64(2n ** 33n)), DATA],
    /number of items/,
  ],
  "an array past the end": [
    [head(0, 1), key("a", ARRAY, UINT32, u64(2 ** 20)), DATA],
    /more than the rest of the file/,
  ],
  "an array of strings past the end": [
    [head(0, 1), key("a", ARRAY, STRING, u64(2 ** 20)), DATA],
    /more than the rest/,
  ],
  "an array of arrays": [
    [head(0, 1), key("a", ARRAY, ARRAY, u64(1), UINT32, u64(1), u32(1))],
    /array of arrays/,
  ],
  "arrays nested ten deep": [
    [head(0, 1), key("a", ...Array.from({ length: 10 }, () => [ARRAY]).flat(), u64(1))],
    /array of arrays/,
  ],
  "a bool of 2": [[head(0, 1), key("a", BOOL, Buffer.from([2]))], /holds a bool that is neither/],
  "an array with a bool of 2": [
    [head(0, 1), key("a", ARRAY, BOOL, u64(2), Buffer.from([1, 2]))],
    /neither 0 nor 1/,
  ],
  "alignment 0": [[head(0, 1), key("general.alignment", UINT32, u32(0))], /"general.alignment" is 0/],
  "alignment 1": [[head(0, 1), key("general.alignment", UINT32, u32(1))], /"general.alignment" is 1/],
  "alignment 24": [[head(0, 1), key("general.alignment", UINT32, u32(24))], /"general.alignment" is 24/],
  "alignment 2^31": [
    [head(0, 1), key("general.alignment", UINT32, u32(2 ** 31))],
    /"general.alignment" is 2147483648/,
  ],
  "alignment of another type": [[head(0, 1), key("general.alignment", STRING, text("32"))], /of type string/],
  "no dimensions": [[head(1, 0), tensor("t", [], 0, 0), DATA], /0 dimensions/],
  "five dimensions": [[head(1, 0), tensor("t", [1, 1, 1, 1, 1], 0, 0), DATA], /5 dimensions/],
  "2^32 - 1 dimensions": [[head(1, 0), text("t"), u32(-1), DATA], /4294967295 dimensions/],
  "a length of 0": [[head(1, 0), tensor("t", [0], 0, 0), DATA], /not a positive integer/],
  "a negative length": [[head(1, 0), tensor("t", [-1n], 0, 0), DATA], /length 0 of tensor "t"/],
  "a product that overflows": [
    [head(1, 0), tensor("t", [2n ** 32n, 2n ** 32n], 24, 0), DATA],
    /2\^53 elements/,
  ],
  "two tensors whose sizes add up to 2^64": [
    [head(2, 0), tensor("a", [HALF_OF_2_64], 24, 0), tensor("b", [HALF_OF_2_64], 24, HALF_OF_2_64), DATA],
    /length 0 of tensor "a"/,
  ],
  "an unknown tensor type": [[head(1, 0), tensor("t", [32], 43, 0), DATA], /unknown type 43/],
  "a removed tensor type": [[head(1, 0), tensor("t", [32], 4, 0), DATA], /unknown type 4/],
  "a row of half a block": [[head(1, 0), tensor("t", [48], 2, 0), DATA], /not a multiple of 32/],
  "a tensor name of 64 bytes": [
    [head(1, 0), tensor("t".repeat(64), [1], 0, 0), DATA],
    /64 bytes instead of 1 to 63/,
  ],
  "a tensor name with a NUL": [[head(1, 0), tensor("a\0b", [1], 0, 0), DATA], /not plain text/],
  "a tensor twice": [
    [head(2, 0), tensor("t", [8], 0, 0), tensor("t", [8], 0, 32), DATA],
    /"t" appears twice/,
  ],
  "an offset that is not aligned": [
    [head(1, 0), tensor("t", [1], 0, 4), DATA],
    /not a multiple of the alignment/,
  ],
  "tensors that overlap": [[head(2, 0), tensor("a", [16], 0, 0), tensor("b", [16], 0, 32), DATA], /overlaps/],
  "a gap between tensors": [
    [head(2, 0), tensor("a", [8], 0, 0), tensor("b", [8], 0, 64), DATA],
    /leaves a gap/,
  ],
  "an offset of 2^64 - 32": [[head(1, 0), tensor("t", [1], 0, -32n), DATA], /leaves a gap/],
  "data past the end of the file": [[head(1, 0), tensor("t", [1025], 0, 0), DATA], /the file has only/],
};

describe("a hostile file is refused with a reason", () => {
  test.each(Object.entries(CORPUS))("%s", async (_, [parts, reason]) => {
    await writeFile(path, Buffer.concat(parts));
    await expect(readGguf(path)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(reason),
    });
  });

  test("names in messages cannot write to a terminal or forge a log line", async () => {
    const name = "bidi\u202e\u0085\u2028end";
    await writeFile(path, Buffer.concat([head(1, 0), tensor(name, [0], 0, 0), DATA]));
    await expect(readGguf(path)).rejects.toMatchObject({
      message: expect.stringContaining(String.raw`"bidi\u{202e}\u{85}\u{2028}end"`),
    });
  });
});

describe("a file that is something else is named", () => {
  test.each<[string, string | Buffer, RegExp]>([
    ["empty", "", /the file is empty/],
    ["a PNG", Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"), /a PNG picture/],
    ["a JPEG", Buffer.from("ffd8ffe000104a464946", "hex"), /a JPEG picture/],
    ["a web page", "<!DOCTYPE html><html><title>404</title>", /a web page/],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00", /a Git LFS pointer/],
    ["safetensors", Buffer.concat([u64(40), Buffer.from('{"__metadata__":{}}')]), /a safetensors file/],
    ["a PyTorch checkpoint", "PK\u0003\u0004archive/data.pkl", /a PyTorch checkpoint/],
    ["an old GGML file", "lmgg", /from before GGUF/],
    ["zeros", Buffer.alloc(100), /filled with zeros/],
    ["a short text", "GGU", /of an unknown format/],
  ])("%s", async (_, content, kind) => {
    await writeFile(path, content);
    await expect(readGguf(path)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(kind),
    });
  });

  test("a missing file, a directory, and a path through a file", async () => {
    await writeFile(path, "x");
    await expect(readGguf(join(directory, "none.gguf"))).rejects.toMatchObject({ code: "model_not_found" });
    await expect(readGguf(join(path, "x.gguf"))).rejects.toMatchObject({ code: "model_not_found" });
    await expect(readGguf(directory)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/directory/),
    });
  });

  test("a named pipe does not make it wait", async () => {
    const pipe = join(directory, "pipe.gguf");
    await promisify(execFile)("mkfifo", [pipe]);
    await expect(readGguf(pipe)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringMatching(/not a regular file/),
    });
  });
});

const METADATA: Record<string, MetadataValue> = {
  "general.architecture": string("llama"),
  "general.alignment": uint32(64),
  flag: { type: "bool", value: true },
  big: { type: "uint64", value: 5n },
  tokens: strings(["a", "é", "\u2581the"]),
  scores: float32s([0, -1, -2]),
};
const TENSORS = [
  { name: "a", type: "f32" as const, shape: [8, 2], data: new Uint8Array(64) },
  { name: "b", type: "q8_0" as const, shape: [32, 3], data: new Uint8Array(102) },
];
const HEADER = Buffer.from(encodeHeader(new Map(Object.entries(METADATA)), TENSORS, 64));
const VALID = Buffer.concat([HEADER, new Uint8Array(64), new Uint8Array(128)]);

/** Reads the whole model; "refused" only if the error says `invalid_model`. */
async function outcome(bytes: Uint8Array): Promise<"read" | "refused" | Error> {
  await writeFile(path, bytes);
  try {
    const gguf = await readGguf(path);
    for (const info of gguf.tensors.values()) await gguf.readTensor(info);
    return "read";
  } catch (error) {
    return MullError.is(error) && error.code === "invalid_model" ? "refused" : (error as Error);
  }
}

describe("a damaged file", () => {
  test("is refused wherever it is cut off", async () => {
    expect(await outcome(VALID)).toBe("read");
    const end = HEADER.length + 64 + 102;
    for (let length = 0; length < end; length++) {
      expect(await outcome(VALID.subarray(0, length))).toBe("refused");
    }
    // Only the padding behind the last tensor may be missing.
    expect(await outcome(VALID.subarray(0, end))).toBe("read");
  });

  test("is read or refused whatever bytes are changed", async () => {
    const change = fc.tuple(fc.nat(HEADER.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = Buffer.from(VALID);
        for (const [position, value] of changes) bytes[position] = value;
        expect(await outcome(bytes)).toBeOneOf(["read", "refused"]);
      }),
      { numRuns: 1500 },
    );
  });

  test("is read or refused whatever number stands anywhere", async () => {
    const number = fc.constantFrom(
      -1n,
      2n ** 63n,
      2n ** 62n,
      2n ** 53n,
      2n ** 40n,
      2n ** 32n,
      2n ** 31n,
      2n ** 24n,
      0n,
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(HEADER.length - 8), number, async (position, value) => {
        const bytes = Buffer.from(VALID);
        u64(value).copy(bytes, position);
        expect(await outcome(bytes)).toBeOneOf(["read", "refused"]);
      }),
      { numRuns: 1000 },
    );
  });

  test("is read or refused when pieces are missing or doubled", async () => {
    const piece = fc.tuple(fc.nat(HEADER.length), fc.nat(HEADER.length), fc.nat(3));
    await fc.assert(
      fc.asyncProperty(piece, async ([from, to, times]) => {
        const [start, end] = [Math.min(from, to), Math.max(from, to)];
        const middle = Array.from({ length: times }, () => VALID.subarray(start, end));
        const bytes = Buffer.concat([VALID.subarray(0, start), ...middle, VALID.subarray(end)]);
        expect(await outcome(bytes)).toBeOneOf(["read", "refused"]);
      }),
      { numRuns: 500 },
    );
  });
});
