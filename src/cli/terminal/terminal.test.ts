import * as fc from "fast-check";
import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { RECEIPT } from "../../../test/support/cli-harness.ts";
import type { OutputStream } from "../cli-context.ts";
import { AnswerWriter } from "./answer-writer.ts";
import { createPaint } from "./colour.ts";
import { displayWidth, graphemes } from "./display-width.ts";
import { formatBytes, formatDuration, formatParameters } from "./format-quantity.ts";
import { lossesText, receiptText } from "./receipt-text.ts";
import { safeName, safeText } from "./safe-text.ts";

function terminal(columns: number): OutputStream & { text: () => string } {
  const stream = new PassThrough().setEncoding("utf8");
  return Object.assign(stream, { isTTY: true, columns, text: () => String(stream.read() ?? "") });
}

/** What a terminal shows after these deltas: "cursor left" and "erase to the end of the line" carried out. */
function screen(text: string): string[] {
  const lines = [""];
  // oxlint-disable-next-line no-control-regex -- escape sequences are the subject
  for (const piece of text.split(/(\u001b\[\d+D\u001b\[K|\n)/)) {
    // oxlint-disable-next-line no-control-regex -- escape sequences are the subject
    const back = /^\u001b\[(\d+)D/.exec(piece)?.[1];
    if (piece === "\n") lines.push("");
    else if (back !== undefined) lines[lines.length - 1] = (lines.at(-1) ?? "").slice(0, -Number(back));
    else lines[lines.length - 1] += piece;
  }
  return lines;
}

describe("AnswerWriter", () => {
  it("breaks lines between words, however the text is cut into deltas", () => {
    const text = "The image features a yellow smiley face on a white background.\n\nIt smiles.";
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 80, maxLength: 80 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 14, max: 80 }), (cuts, columns) => {
        const stream = terminal(columns);
        const writer = new AnswerWriter(stream, { wordWrap: true });
        let rest = text;
        for (const size of cuts) {
          writer.write(rest.slice(0, size));
          rest = rest.slice(size);
        }
        writer.write(rest);
        writer.end();
        const lines = screen(stream.text());
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(columns);
        expect(lines.join(" ").split(/\s+/)).toEqual(`${text} `.split(/\s+/));
      }),
    );
  });

  it("leaves text alone that goes into a file", () => {
    const stream = Object.assign(new PassThrough().setEncoding("utf8"), { columns: 10 });
    const writer = new AnswerWriter(stream, { wordWrap: true });
    writer.write("a long line with \u001b[31mcolour\r\n");
    expect(stream.read()).toBe("a long line with \u001b[31mcolour\r\n");
  });

  it("makes escape sequences visible on a terminal, also when they come in two halves", () => {
    const stream = terminal(80);
    const writer = new AnswerWriter(stream, { wordWrap: false });
    writer.write("a\u001b");
    writer.write("[2Jb\u009b31m\u0007");
    expect(stream.text()).toBe("a␛[2Jb�31m␇");
  });

  it("ends an open line once", () => {
    const stream = terminal(80);
    const writer = new AnswerWriter(stream, { wordWrap: true });
    writer.write("hello");
    writer.end();
    writer.end();
    expect(stream.text()).toBe("hello\n");
  });
});

describe("safe text", () => {
  it("leaves nothing that a terminal acts upon", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // oxlint-disable-next-line no-control-regex -- control characters are the subject
        expect(safeText(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
        // oxlint-disable-next-line no-control-regex -- control characters are the subject
        expect(safeName(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
      }),
    );
  });
});

describe("displayWidth", () => {
  it.each([
    ["abc", 3],
    ["日本", 4],
    ["é", 1],
    ["e\u0301", 1],
    ["😀", 2],
    ["👩‍🚀", 2],
    ["☀️", 2],
    ["", 0],
  ])("%s takes %i cells", (text, width) => expect(displayWidth(text)).toBe(width));

  it("keeps graphemes whole", () => expect(graphemes("a👩‍🚀e\u0301")).toEqual(["a", "👩‍🚀", "e\u0301"]));
});

describe("quantities", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [52_100, "52.1 kB"],
    [4_370_000_000, "4.37 GB"],
  ])("%i bytes", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [3.5, "3.50 ms"],
    [812.4, "812 ms"],
    [3420, "3.42 s"],
    [125_000, "2 m 5 s"],
  ])("%d milliseconds", (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));

  it("parameters", () => expect(formatParameters(7_240_000_000)).toBe("7.24B"));
});

describe("receipts", () => {
  it("say in two lines what was done", () => {
    expect(receiptText(RECEIPT)).toBe(
      "./smile.png  png 640x480, 52.1 kB\n" +
        "  padded to 640x640 → resized to 96x96 (bicubic, antialiased) → 36 tokens\n",
    );
  });

  it("say that a picture was cached, or not changed", () => {
    expect(receiptText({ ...RECEIPT, cached: true })).toContain("36 tokens, cached");
    expect(receiptText({ ...RECEIPT, steps: [] })).toContain("\n  seen as it is → 36 tokens");
  });

  it("name what was lost, and nothing else", () => {
    expect(lossesText(RECEIPT)).toBe("");
    expect(lossesText({ ...RECEIPT, steps: [{ action: "first-frame", frame: 0, of: 12 }] })).toBe(
      "./smile.png: frame 1 of 12 only\n",
    );
  });

  it("cannot be forged by a file's name", () => {
    expect(receiptText({ ...RECEIPT, name: "a\u001b[2J\nb.png" })).toMatch(/^a␛\[2J␊b\.png /);
  });
});

describe("colours", () => {
  it.each([
    [{ isTTY: true }, {}, true],
    [{ isTTY: false }, {}, false],
    [{ isTTY: true }, { NO_COLOR: "1" }, false],
    [{ isTTY: true }, { NO_COLOR: "" }, true],
    [{ isTTY: true }, { TERM: "dumb" }, false],
    [{ isTTY: false }, { FORCE_COLOR: "1" }, true],
    [{ isTTY: true }, { FORCE_COLOR: "0" }, false],
    [{ isTTY: true }, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
  ])("stream %j with %j: %s", (facts, env, coloured) => {
    const painted = createPaint(Object.assign(new PassThrough(), facts), env)("red", "x");
    expect(painted !== "x").toBe(coloured);
    expect(stripVTControlCharacters(painted)).toBe("x");
  });
});
