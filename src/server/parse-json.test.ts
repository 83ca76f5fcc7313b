import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBase64, parseJson } from "./parse-json.ts";

const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(40_000, 7)]);
const BASE64 = PNG.toString("base64");

function parse(value: unknown): unknown {
  return parseJson(Buffer.from(typeof value === "string" ? value : JSON.stringify(value))).value;
}

describe("pictures in a body", () => {
  it("become bytes, wherever they are", () => {
    const url = `data:image/png;base64,${BASE64}`;
    const body = {
      images: [BASE64],
      messages: [{ content: [{ image_url: { url } }, { source: { data: BASE64 } }] }],
    };
    const bytes = new Uint8Array(PNG);
    expect(parse(body)).toEqual({
      images: [bytes],
      messages: [{ content: [{ image_url: { url: bytes } }, { source: { data: bytes } }] }],
    });
    expect(parseJson(Buffer.from(JSON.stringify(body))).buffers).toHaveLength(3);
  });

  it("stay text where a text is meant, when they are short, or no picture", () => {
    const body = {
      content: BASE64,
      messages: [{ content: `data:image/png;base64,${BASE64}`, images: ["iVBORw0KGgo="] }],
      prompt: [BASE64],
      word: "a".repeat(100_000),
      words: Buffer.from("hello ".repeat(20_000)).toString("base64"),
    };
    expect(parse(body)).toEqual(body);
  });

  it("stay text when they are damaged, for an error that knows the place", () => {
    const broken = `${BASE64.slice(0, 40_000)}!${BASE64.slice(40_000)}`;
    expect(parse({ images: [broken] })).toEqual({ images: [broken] });
  });
});

describe("base64", () => {
  it("of any bytes is read, in both alphabets, padded or not, with line breaks", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        const forms = [text, text.replace(/=+$/, ""), Buffer.from(bytes).toString("base64url")];
        for (const form of [...forms, text.replaceAll(/(.{76})/g, "$1\r\n"), `${text}\n`]) {
          expect(decodeBase64(form)).toEqual(bytes);
        }
      }),
    );
  });

  it("is all or nothing: a text with anything else in it is refused", () => {
    const foreign = fc.constantFrom("!", "#", "%", "'", "*", ",", ".", ":", "@", "~", "é", "\0");
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 3, maxLength: 300 }),
        fc.nat(),
        foreign,
        (bytes, at, character) => {
          const text = Buffer.from(bytes).toString("base64").replace(/=+$/, "");
          const place = at % (text.length + 1);
          expect(decodeBase64(text.slice(0, place) + character + text.slice(place))).toBeUndefined();
        },
      ),
    );
    expect(decodeBase64("AAAAA")).toBeUndefined();
    expect(decodeBase64("AA==AA==")).toBeUndefined();
  });
});

describe("limits", () => {
  it.each([
    ["depth", "[".repeat(65) + "]".repeat(65), "nests deeper than 64"],
    ["depth, hostile", "[".repeat(100_000) + "]".repeat(100_000), "nests deeper than 64"],
    ["length of a list", JSON.stringify(Array.from({ length: 10_001 }, () => 0)), "a list of 10001 items"],
    [
      "names",
      JSON.stringify(Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [at, 0]))),
      "10001 names",
    ],
    [
      "values",
      JSON.stringify(Array.from({ length: 100 }, () => Array.from({ length: 6000 }, () => 0))),
      "500000",
    ],
  ])("%s", (_, text, complaint) => {
    expect(() => parse(text)).toThrow(complaint);
  });

  it("are not reached by what is just below", () => {
    expect(() => parse("[".repeat(64) + "]".repeat(64))).not.toThrow();
  });

  it("refuses text that is not UTF-8, and takes a byte order mark", () => {
    expect(() => parseJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow("not UTF-8");
    expect(parseJson(Buffer.from("\ufeff[1]")).value).toEqual([1]);
  });

  it("drops __proto__, at every depth", () => {
    const value = parse(
      '{"__proto__": {"polluted": 1}, "a": [{"__proto__": null, "constructor": 1}]}',
    ) as object;
    expect(JSON.stringify(value)).toBe('{"a":[{"constructor":1}]}');
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect("polluted" in Object.assign({}, value)).toBe(false);
  });
});
