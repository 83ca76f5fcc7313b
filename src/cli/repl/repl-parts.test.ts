import * as fc from "fast-check";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { displayWidth } from "../terminal/display-width.ts";
import { layOut } from "./edit-layout.ts";
import { History, historyPath } from "./history.ts";
import { LineBuffer } from "./line-buffer.ts";
import { Multiline } from "./multiline.ts";

describe("layOut", () => {
  const size = { prompt: ">>> ", continuation: "... ", columns: 20, rows: 24 };

  it("breaks long lines and begins new ones with the continuation", () => {
    const { rows, cursorRow, cursorColumn } = layOut({ ...size, text: "0123456789abcdefgh\nx", cursor: 18 });
    expect(rows).toEqual([">>> 0123456789abcde", "fgh", "... x"]);
    expect([cursorRow, cursorColumn]).toEqual([1, 3]);
  });

  it("never makes a row wider than the terminal, keeps all text, and has the cursor inside", () => {
    const texts = fc
      .string({ unit: "grapheme", maxLength: 200 })
      .map((text) => text.replaceAll(/[^\P{C}\n]/gu, ""));
    fc.assert(
      fc.property(texts, fc.nat(), fc.integer({ min: 12, max: 60 }), (text, place, columns) => {
        const buffer = new LineBuffer();
        buffer.set(text);
        for (let step = place % (text.length + 1); step > 0; step--) buffer.left();
        const { rows, cursorRow, cursorColumn } = layOut({
          ...size,
          columns,
          rows: 999,
          text,
          cursor: buffer.cursor,
        });
        for (const row of rows) expect(displayWidth(row)).toBeLessThan(columns);
        expect(rows[cursorRow]).toBeDefined();
        expect(cursorColumn).toBeLessThan(columns);
        expect(`>>> ${text.replaceAll("\n", "... ")}`).toBe(rows.join(""));
      }),
    );
  });

  it("shows the part around the cursor of a text that is higher than the screen", () => {
    const text = Array.from({ length: 100 }, (_, line) => `line ${line}`).join("\n");
    const atEnd = layOut({ ...size, rows: 10, text, cursor: text.length });
    expect(atEnd.rows).toHaveLength(9);
    expect(atEnd.rows[atEnd.cursorRow]).toBe("... line 99");
    const atStart = layOut({ ...size, rows: 10, text, cursor: 0 });
    expect(atStart.rows[atStart.cursorRow]).toBe(">>> line 0");
  });
});

describe("LineBuffer", () => {
  it("keeps the cursor inside the text, whatever is done", () => {
    const actions = [
      "left",
      "right",
      "wordLeft",
      "wordRight",
      "home",
      "end",
      "up",
      "down",
      "backspace",
      "delete",
    ] as const;
    const kills = ["killToEnd", "killToStart", "killWordLeft", "killWordRight", "yank"] as const;
    const step = fc.oneof(
      fc.constantFrom(...actions, ...kills),
      fc.constantFrom("word ", "\n", "👩‍🚀").map((text) => ({ text })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const buffer = new LineBuffer();
        for (const action of steps) {
          if (typeof action === "string") buffer[action]();
          else buffer.insert(action.text);
          expect(buffer.cursor).toBeGreaterThanOrEqual(0);
          expect(buffer.cursor).toBeLessThanOrEqual(buffer.text.length);
        }
        expect(buffer.text.isWellFormed()).toBe(true);
      }),
    );
  });
});

describe("Multiline", () => {
  it.each([
    [["hello"], { kind: "line", text: "hello" }],
    [['"""hello"""'], { kind: "message", text: "hello" }],
    [['"""', "one", "", "two", '"""'], { kind: "message", text: "one\n\ntwo" }],
    [['"""one', 'two"""'], { kind: "message", text: "one\ntwo" }],
    [
      ['/set system """', "be brief", 'and kind"""'],
      { kind: "line", text: "/set system be brief\nand kind" },
    ],
    [['"""', "/bye", '"""'], { kind: "message", text: "/bye" }],
    [['say "hello"'], { kind: "line", text: 'say "hello"' }],
    [['"""a\nb\n"""'], { kind: "message", text: "a\nb" }],
  ])("%j", (lines, entry) => {
    const multiline = new Multiline();
    const results = lines.map((line) => multiline.feed(line));
    expect(results.pop()).toEqual(entry);
    expect(results.every((result) => result === undefined)).toBe(true);
    expect(multiline.open).toBe(false);
  });
});

describe("History", () => {
  const folder = mkdtempSync(join(tmpdir(), "mull-history-"));

  it("keeps entries with line feeds and backslashes for the next session, for its owner only", () => {
    const path = join(folder, "deep", "history");
    const first = new History(path);
    first.add('"""a\nb\\n"""');
    first.add("second");
    first.add("second");
    first.add("  ");
    const next = new History(path);
    expect([next.previous(""), next.previous(""), next.previous("")]).toEqual([
      "second",
      '"""a\nb\\n"""',
      undefined,
    ]);
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it("does not grow for ever", () => {
    const path = join(folder, "long");
    writeFileSync(path, Array.from({ length: 3000 }, (_, line) => `entry ${line}\n`).join(""));
    expect(new History(path).previous("")).toBe("entry 2999");
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(1001);
  });

  it("works where it cannot be written, and can be turned off", () => {
    const history = new History(join(folder, "long", "not-a-folder"));
    history.add("one");
    history.enabled = false;
    history.add("secret");
    expect(history.previous("")).toBe("one");
  });

  it("lies where XDG says", () => {
    expect(historyPath({ XDG_STATE_HOME: "/state" })).toBe(join("/state", "mull", "history"));
    expect(historyPath({ HOME: "/home/me" })).toBe(join("/home/me", ".local", "state", "mull", "history"));
  });
});
