import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextAssembler } from "./text-assembler.ts";

const encoder = new TextEncoder();

function assemble(pieces: Uint8Array[], stops: string[] = []): { deltas: string[]; stopped: boolean } {
  const assembler = new TextAssembler(stops);
  const deltas: string[] = [];
  for (const piece of pieces) {
    deltas.push(assembler.push(piece));
    if (assembler.stopped) break;
  }
  deltas.push(assembler.end());
  return { deltas, stopped: assembler.stopped };
}

describe("TextAssembler", () => {
  it("never cuts a character whose bytes come in several tokens", () => {
    const bytes = encoder.encode("a😀b");
    const { deltas } = assemble([...bytes].map((byte) => Uint8Array.of(byte)));
    expect(deltas).toEqual(["a", "", "", "", "😀", "b", ""]);
  });

  it("prints bytes that never become a character as U+FFFD", () => {
    expect(assemble([Uint8Array.of(0xf0, 0x9f)]).deltas.join("")).toBe("\ufffd");
  });

  it("finds a stop string across token borders and shows nothing of it", () => {
    const pieces = ["Hello US", "E", "R: what"].map((text) => encoder.encode(text));
    const { deltas, stopped } = assemble(pieces, ["USER:"]);
    expect(deltas.join("")).toBe("Hello ");
    expect(stopped).toBe(true);
  });

  it("lets text through that only looked like a stop string", () => {
    const pieces = ["Hello US", "A"].map((text) => encoder.encode(text));
    expect(assemble(pieces, ["USER:"]).deltas).toEqual(["Hello ", "USA", ""]);
  });

  it("takes the earliest of several stop strings", () => {
    expect(assemble([encoder.encode("a1b2c")], ["2", "1"]).deltas.join("")).toBe("a");
    const assembler = new TextAssembler(["2", "1"]);
    expect(assembler.metStop).toBeUndefined();
    assembler.push(encoder.encode("a1b2c"));
    expect(assembler.metStop).toBe("1");
  });

  it("gives any text back, however it is cut, up to the first stop string", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 });
    const stops = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }), { maxLength: 3 });
    fc.assert(
      fc.property(text, stops, fc.integer({ min: 1, max: 5 }), (whole, stopStrings, size) => {
        const bytes = encoder.encode(whole.toWellFormed());
        const pieces: Uint8Array[] = [];
        for (let start = 0; start < bytes.length; start += size)
          pieces.push(bytes.slice(start, start + size));
        const clean = new TextDecoder().decode(bytes);
        const ends = stopStrings.map((stop) => clean.indexOf(stop)).filter((place) => place >= 0);
        expect(assemble(pieces, stopStrings).deltas.join("")).toBe(
          clean.slice(0, Math.min(clean.length, ...ends)),
        );
      }),
    );
  });
});
