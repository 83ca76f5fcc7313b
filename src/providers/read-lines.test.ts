import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readLines } from "./read-lines.ts";

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(chunks)) lines.push(line);
  return lines;
}

describe("readLines", () => {
  it("gives the same lines wherever the bytes are cut", async () => {
    const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll(/[\n\ufeff]/g, ""));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat(9)), async (lines, sizes) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        expect(await collect(cut(bytes, sizes))).toEqual(lines);
      }),
    );
  });

  it("counts a last line without a line feed", async () => {
    expect(await collect(cut(Buffer.from("a\nb"), []))).toEqual(["a", "b"]);
  });

  it("gives up on a line without an end", async () => {
    const megabyte = new Uint8Array(1024 ** 2).fill(0x61);
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; sent < 100; sent++) yield megabyte;
    }
    await expect(collect(endless())).rejects.toThrow(RangeError);
    expect(sent).toBeLessThan(20);
  });
});
