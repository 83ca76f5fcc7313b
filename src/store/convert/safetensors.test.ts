import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/tiny-models.ts";
import { encodeSafetensors, frame } from "../../../test/support/write-safetensors.ts";
import { MullError } from "../../spec/errors.ts";
import { readSafetensors } from "./safetensors.ts";

const folder = temporaryFolder();
let files = 0;

function write(bytes: Uint8Array): string {
  const path = join(folder.path, `${files++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
}

const read = async (bytes: Uint8Array) => readSafetensors(write(bytes));

const f32 = (...shape: number[]) => ({
  dtype: "F32",
  shape,
  data: new Uint8Array(shape.reduce((product, length) => product * length, 4)),
});

describe("a safetensors header", () => {
  it("gives every tensor with its place", async () => {
    const path = write(
      encodeSafetensors({
        "model.norm.weight": f32(3),
        matrix: { dtype: "BF16", shape: [2, 3], data: new Uint8Array(12) },
        scalar: { dtype: "I64", shape: [], data: new Uint8Array(8) },
        nothing: { dtype: "F16", shape: [0, 7], data: new Uint8Array(0) },
      }),
    );
    const tensors = await readSafetensors(path);
    const start = (tensors[0]?.offset ?? 0) - 0;
    expect(start % 8).toBe(0);
    const matrix = { name: "matrix", dtype: "BF16", shape: [2, 3], path, offset: start + 12, bytes: 12 };
    expect(tensors).toEqual([
      { name: "model.norm.weight", dtype: "F32", shape: [3], path, offset: start, bytes: 12 },
      matrix,
      { name: "scalar", dtype: "I64", shape: [], path, offset: start + 24, bytes: 8 },
      { name: "nothing", dtype: "F16", shape: [0, 7], path, offset: start + 32, bytes: 0 },
    ]);
  });

  const one = (entry: string, bytes = 4): Buffer => frame(`{"t":${entry}}`, new Uint8Array(bytes));
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ["an empty file", Buffer.alloc(0), /0 bytes are no safetensors/],
    ["four bytes", Buffer.alloc(4), /4 bytes are no safetensors/],
    [
      "a header beyond the end",
      Buffer.concat([Buffer.from([99, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{}")]),
      /header ends at byte 107/,
    ],
    ["a header over the limit", Buffer.alloc(16, 0xff), /over the limit/],
    ["a GGUF file", Buffer.from("GGUF\u0003\0\0\0{}"), /over the limit/],
    ["no object", frame("[]", new Uint8Array(0)), /no JSON object/],
    ["no JSON", frame('{"a"', new Uint8Array(0)), /no JSON/],
    [
      "no UTF-8",
      Buffer.concat([Buffer.from([6, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{"\xff":1}', "latin1")]),
      /no UTF-8|no JSON/,
    ],
    [
      "a name twice",
      frame(
        '{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        new Uint8Array(4),
      ),
      /twice/,
    ],
    ["a field twice", one('{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}'), /twice/],
    ["a tensor that is a number", one("1"), /has no description/],
    ["no dtype", one('{"shape":[1],"data_offsets":[0,4]}'), /no dtype/],
    ["an unknown dtype", one('{"dtype":"F4","shape":[1],"data_offsets":[0,4]}'), /of type "F4"/],
    [
      "a dtype of Object's",
      one('{"dtype":"constructor","shape":[1],"data_offsets":[0,4]}'),
      /of type "constructor"/,
    ],
    ["a negative length", one('{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}'), /no valid shape/],
    ["half a length", one('{"dtype":"F32","shape":[0.5],"data_offsets":[0,4]}'), /no valid shape/],
    [
      "a shape beyond 2^53",
      one('{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}'),
      /2\^53/,
    ],
    [
      "a wrong size",
      one('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}'),
      /has 4 bytes; its shape \[2\] of F32 takes 8/,
    ],
    ["offsets backwards", one('{"dtype":"F32","shape":[1],"data_offsets":[4,0]}'), /has -4 bytes/],
    ["three offsets", one('{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}'), /no valid data_offsets/],
    ["a file cut off", one('{"dtype":"F32","shape":[1],"data_offsets":[0,4]}', 3), /but the file has/],
    ["bytes at the end", one('{"dtype":"F32","shape":[1],"data_offsets":[0,4]}', 5), /1 bytes at its end/],
    ["a gap", one('{"dtype":"F32","shape":[1],"data_offsets":[4,8]}', 8), /leaves a gap/],
    [
      "an overlap",
      frame(
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        new Uint8Array(8),
      ),
      /overlaps/,
    ],
  ];

  it.each(cases)("refuses %s", async (_, bytes, message) => {
    const error = await read(bytes).catch((thrown: unknown) => thrown);
    expect(MullError.is(error) && error.code).toBe("invalid_model");
    expect((error as Error).message).toMatch(message);
  });

  it("takes names for what they are", async () => {
    const name = '":\\"{x":';
    const names = async (bytes: Uint8Array) => (await read(bytes)).map((tensor) => tensor.name);
    expect(await names(encodeSafetensors({ [name]: f32(1) }))).toEqual([name]);
    const hostile = '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    expect(await names(frame(hostile, new Uint8Array(4)))).toEqual(["__proto__"]);
  });

  it("refuses nesting deeper than the stack", async () => {
    const deep = `{"t":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    await expect(read(frame(deep, new Uint8Array(0)))).rejects.toMatchObject({ code: "invalid_model" });
  });

  it("answers any bytes with tensors in the file, or invalid_model", async () => {
    const good = encodeSafetensors({
      a: f32(2, 3),
      b: f32(4),
      c: { dtype: "F16", shape: [3], data: new Uint8Array(6) },
    });
    const headerEnd = 8 + Number(good.readBigUInt64LE());
    const edit = fc.oneof(
      fc.record({ at: fc.nat(headerEnd - 1), byte: fc.nat(255) }).map(({ at, byte }) => (bytes: Buffer) => {
        bytes[at] = byte;
        return bytes;
      }),
      fc.nat(good.length).map((length) => (bytes: Buffer) => bytes.subarray(0, length)),
      fc.uint8Array({ maxLength: 9 }).map((more) => (bytes: Buffer) => Buffer.concat([bytes, more])),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        let bytes = Buffer.from(good);
        for (const apply of edits) bytes = Buffer.from(apply(bytes));
        expect(await coverage(bytes)).toMatch(/^(whole|invalid_model)$/);
      }),
      { numRuns: 500 },
    );
  });
});

/** Whether all tensors lie in the file and make up its data, or the code of the error. */
async function coverage(bytes: Buffer): Promise<string> {
  try {
    const tensors = await read(bytes);
    const inside = tensors.every(({ offset, bytes: length }) => offset + length <= bytes.length);
    const covered = tensors.reduce((sum, { bytes: length }) => sum + length, 0);
    const data = bytes.length - 8 - Number(bytes.readBigUInt64LE());
    return inside && covered === data ? "whole" : "not whole";
  } catch (error) {
    return MullError.is(error) ? error.code : String(error);
  }
}
