import { afterEach, describe, expect, it } from "vitest";
import { JsonBodyParser, type JsonBodyParserOptions } from "./json-body-parser.ts";

const parsers: JsonBodyParser[] = [];

function create(options: JsonBodyParserOptions = {}): JsonBodyParser {
  const parser = new JsonBodyParser(options);
  parsers.push(parser);
  return parser;
}

afterEach(async () => {
  for (const parser of parsers.splice(0)) await parser.close();
});

function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
}

const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(3_000_000, 7)]);

describe("a large body", () => {
  it("comes back with its pictures as bytes, and the loop turns meanwhile", async () => {
    const parser = create();
    const body = bytesOf({ model: "pico", images: [PNG.toString("base64")], __proto__: { a: 1 } });
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const value = await parser.parse(body);
    clearInterval(timer);
    expect(value).toEqual({ model: "pico", images: [new Uint8Array(PNG)] });
    expect(turns).toBeGreaterThan(0);
    expect(body.byteLength).toBe(0);
  });

  it("has its faults told with their place", async () => {
    const text = `{"a": "${"x".repeat(300_000)}",}`;
    await expect(create().parse(bytesOf(text))).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("column 300010") as string,
    });
  });

  it("may not outgrow the worker, and the next one is read by a new one", async () => {
    const parser = create({ heapMb: 24 });
    const many = bytesOf(`[${"[[],[],[],[],[],[],[],[],[],[]],".repeat(400_000)}[]]`);
    const next = bytesOf({ text: "x".repeat(300_000) });
    const results = await Promise.allSettled([parser.parse(many), parser.parse(next)]);
    expect(results).toMatchObject([
      { status: "rejected", reason: { code: "body_too_large" } },
      { status: "fulfilled", value: { text: "x".repeat(300_000) } },
    ]);
  });

  it("may not take longer than its time", async () => {
    const parser = create({ timeLimitMs: 1 });
    await expect(parser.parse(bytesOf({ a: "x".repeat(30_000_000) }))).rejects.toMatchObject({
      code: "timeout",
    });
  });
});

describe("many bodies", () => {
  it("keep apart", async () => {
    const parser = create({ inlineBytes: 10 });
    const bodies = Array.from({ length: 50 }, (_, index) => ({ index, text: "x".repeat(index) }));
    const values = await Promise.all(bodies.map((body) => parser.parse(bytesOf(body))));
    expect(values).toEqual(bodies);
  });

  it("are refused when more wait than there is room for", async () => {
    const parser = create({ inlineBytes: 10, waitingBytes: 250 });
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => parser.parse(bytesOf({ text: "x".repeat(90) }))),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(results[3]).toMatchObject({ reason: { code: "server_busy", details: { retryAfterSeconds: 1 } } });
    // Room again.
    await expect(parser.parse(bytesOf({ text: "x".repeat(90) }))).resolves.toBeDefined();
  });
});
