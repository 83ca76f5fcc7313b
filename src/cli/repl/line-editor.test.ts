import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { settle } from "../../../test/support/cli-harness.ts";
import type { InputStream, OutputStream } from "../cli-context.ts";
import { createCompleter } from "./completion.ts";
import { editExternally } from "./external-editor.ts";
import { History } from "./history.ts";
import { LineEditor } from "./line-editor.ts";
import type { ReadResult } from "./line-reader.ts";

const TEXTS = { prompt: ">>> ", continuation: "... ", placeholder: "Send a message" };

class Keyboard {
  readonly input: PassThrough & InputStream = Object.assign(new PassThrough(), { isTTY: true });
  readonly output: PassThrough & OutputStream = Object.assign(new PassThrough(), {
    isTTY: true,
    columns: 30,
    rows: 10,
  });
  readonly history = new History(undefined);
  readonly rawModes: boolean[] = [];
  readonly editor: LineEditor;
  shown = "";

  constructor(env: NodeJS.ProcessEnv = {}) {
    this.input.setRawMode = (raw) => this.rawModes.push(raw);
    this.output.setEncoding("utf8").on("data", (text: string) => (this.shown += text));
    this.editor = new LineEditor({
      input: this.input,
      output: this.output,
      paint: (style, text) => (text === "" ? "" : `<${style}>${text}</>`),
      history: this.history,
      complete: createCompleter(["/set verbose", "/set quiet", "/show info"]),
      openEditor: (text) => editExternally(text, env),
    });
  }

  /** What a read gives after these keys. */
  async read(...keys: string[]): Promise<ReadResult> {
    const reading = this.editor.read(TEXTS);
    for (const key of keys) {
      this.input.write(key);
      await settle();
    }
    return reading;
  }
}

let keyboard = new Keyboard();
afterEach(() => {
  keyboard.editor.close();
  keyboard = new Keyboard();
});

const LEFT = "\u001b[D";
const UP = "\u001b[A";
const DOWN = "\u001b[B";

describe("LineEditor", () => {
  it.each([
    ["plain text", ["hello", "\r"], "hello"],
    ["umlauts and emoji", ["grüße 😀", "\r"], "grüße 😀"],
    ["Ctrl-a", ["world", "\u0001", "hello ", "\r"], "hello world"],
    ["Ctrl-e", ["b", "\u0001", "a", "\u0005", "c", "\r"], "abc"],
    ["Home and End", ["b", "\u001b[H", "a", "\u001b[F", "c", "\r"], "abc"],
    ["Left, Right", ["ac", LEFT, "b", "\u001b[C", "d", "\r"], "abcd"],
    ["Ctrl-b, Ctrl-f", ["ac", "\u0002", "b", "\u0006", "d", "\r"], "abcd"],
    ["Alt-b", ["one two", "\u001bb", "x", "\r"], "one xtwo"],
    ["Alt-f", ["one two", "\u0001", "\u001bf", "x", "\r"], "onex two"],
    ["Ctrl-k", ["one two", "\u001bb", "\u000b", "\r"], "one "],
    ["Ctrl-u", ["one two", "\u001bb", "\u0015", "\r"], "two"],
    ["Ctrl-w", ["one two", "\u0017", "\r"], "one "],
    ["Ctrl-w and Ctrl-y", ["one two", "\u0017", "\u0001", "\u0019", "\r"], "twoone "],
    ["Alt-d", ["one two", "\u0001", "\u001bd", "\r"], " two"],
    ["Backspace over an emoji", ["a👩‍🚀", "\u007f", "\r"], "a"],
    ["Delete", ["abc", LEFT, "\u001b[3~", "\r"], "ab"],
    ["Ctrl-d in a line", ["abc", LEFT, "\u0004", "\r"], "ab"],
    ["Ctrl-j makes a new line", ["a", "\n", "b", "\r"], "a\nb"],
    ["Ctrl-l", ["ab", "\u000c", "c", "\r"], "abc"],
    ["unknown keys do nothing", ["a", "\u001b[15~", "\u0014", "b", "\r"], "ab"],
  ])("%s", async (_, keys, text) => {
    expect(await keyboard.read(...keys)).toEqual({ type: "line", text });
  });

  it("moves between the lines of a message", async () => {
    expect(await keyboard.read("one", "\n", "two", UP, "!", "\r")).toEqual({
      type: "line",
      text: "one!\ntwo",
    });
    expect(await keyboard.read("one", "\n", "two", UP, UP, DOWN, "!", "\r")).toEqual({
      type: "line",
      text: "one\ntwo!",
    });
  });

  it("shows the placeholder while nothing is typed", async () => {
    const reading = keyboard.editor.read(TEXTS);
    await settle();
    expect(keyboard.shown).toContain(">>> <grey>Send a message</>");
    keyboard.shown = "";
    keyboard.input.write("a");
    await settle();
    expect(keyboard.shown).toContain(">>> a");
    expect(keyboard.shown).not.toContain("Send");
    keyboard.input.write("\r");
    await reading;
  });

  it("does not send what is pasted, line feeds and all", async () => {
    const reading = keyboard.editor.read(TEXTS);
    keyboard.input.write("see: \u001b[200~one\r\ntwo\tx\r\u001b[31mthree\u001b[201~");
    await settle();
    keyboard.input.write("\r");
    expect(await reading).toEqual({ type: "line", text: "see: one\ntwo\tx\n[31mthree" });
    expect(keyboard.shown).toContain("... two    x");
  });

  it("turns bracketed paste and raw mode on, and off again", () => {
    keyboard.editor.close();
    expect(keyboard.rawModes).toEqual([true, false]);
  });

  it("leafs through the history and comes back to what was typed", async () => {
    keyboard.history.add("first");
    keyboard.history.add("second");
    expect(await keyboard.read("draft", UP, UP, UP, DOWN, DOWN, "\r")).toEqual({
      type: "line",
      text: "draft",
    });
    expect(await keyboard.read("\u0010", "\u0010", "\u000e", "\r")).toEqual({ type: "line", text: "second" });
  });

  it("reports Ctrl-C with and without text, and Ctrl-D", async () => {
    expect(await keyboard.read("abc", "\u0003")).toEqual({ type: "interrupt", discarded: true });
    expect(await keyboard.read("\u0003")).toEqual({ type: "interrupt", discarded: false });
    expect(await keyboard.read("\u0004")).toEqual({ type: "end" });
  });

  it("ends when the terminal goes away, and stays ended", async () => {
    const reading = keyboard.editor.read(TEXTS);
    keyboard.input.end();
    expect(await reading).toEqual({ type: "end" });
    expect(await keyboard.read()).toEqual({ type: "end" });
  });

  it("keeps what is typed during an answer, but Ctrl-C stops it", async () => {
    let interrupts = 0;
    keyboard.editor.onInterrupt = () => (interrupts += 1);
    keyboard.input.write("next\u0003 question\r");
    await settle();
    expect(interrupts).toBe(1);
    expect(await keyboard.read()).toEqual({ type: "line", text: "next question" });
  });

  it("opens the user's editor on Ctrl-g, and keeps the text when that fails", async () => {
    const script = join(mkdtempSync(join(tmpdir(), "mull-editor-")), "edit.sh");
    writeFileSync(script, '#!/bin/sh\nprintf "%s, edited\\n" "$(cat "$1")" > "$1"\n');
    chmodSync(script, 0o755);
    keyboard.editor.close();
    keyboard = new Keyboard({
      PATH: process.env["PATH"],
      MULL_EDITOR: script,
      VISUAL: "/nonexistent/visual",
    });
    expect(await keyboard.read("text", "\u0007", "\r")).toEqual({ type: "line", text: "text, edited" });
    expect(keyboard.rawModes).toEqual([true, false, true]);
    keyboard.editor.close();
    keyboard = new Keyboard({ EDITOR: "/nonexistent/editor" });
    expect(await keyboard.read("text", "\u0007", "\r")).toEqual({ type: "line", text: "text" });
    expect(keyboard.shown).toContain("The editor '/nonexistent/editor' failed");
  });

  it("completes commands and paths on Tab", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mull-complete-"));
    for (const name of ["my cat.png", "notes.txt", "dog one.jpg", "dog two.jpg"])
      writeFileSync(join(folder, name), "");
    expect(await keyboard.read("/sh", "\t", "\r")).toEqual({ type: "line", text: "/show info " });
    expect(await keyboard.read("/set", "\t", "\r")).toEqual({ type: "line", text: "/set" });
    expect(keyboard.shown).toContain("/set verbose  /set quiet");
    const cat = await keyboard.read(`look at ${folder}/m`, "\t", "please", "\r");
    expect(cat).toEqual({ type: "line", text: `look at ${folder}/my\\ cat.png please` });
    const dog = await keyboard.read(`${folder}/d`, "\t", "\t", "\r");
    expect(dog).toEqual({ type: "line", text: `${folder}/dog` });
    expect(keyboard.shown).toContain("dog one.jpg  dog two.jpg");
    expect(await keyboard.read(`${folder}/n`, "\t", "\r")).toEqual({ type: "line", text: `${folder}/n` });
  });
});
