import { emitKeypressEvents } from "node:readline";
import type { InputStream, OutputStream } from "../cli-context.ts";
import type { Paint } from "../terminal/colour.ts";
import type { Completer } from "./completion.ts";
import { editByKey, type Key, keyName, pastedText } from "./edit-keys.ts";
import { layOut } from "./edit-layout.ts";
import type { History } from "./history.ts";
import { LineBuffer } from "./line-buffer.ts";
import type { LineReader, PromptTexts, ReadResult } from "./line-reader.ts";

const PASTE_ON = "\u001b[?2004h";
const PASTE_OFF = "\u001b[?2004l";
const CLEAR_SCREEN = "\u001b[H\u001b[2J";
const NO_TEXTS: PromptTexts = { prompt: "", continuation: "", placeholder: "" };

export interface LineEditorOptions {
  input: InputStream;
  output: OutputStream;
  paint: Paint;
  history: History;
  complete: Completer;
  /** Lets the user change the text in another program; returns the new text. */
  openEditor: (text: string) => string;
}

/**
 * Line editing on a terminal in raw mode, several lines included. Keys that come while nothing is being read are
 * kept and typed into the next line, except Ctrl-C.
 */
export class LineEditor implements LineReader {
  onInterrupt: (() => void) | undefined;
  readonly #options: LineEditorOptions;
  readonly #buffer = new LineBuffer();
  readonly #typedAhead: [text: string | undefined, key: Key][] = [];
  #texts = NO_TEXTS;
  #resolve: ((result: ReadResult) => void) | undefined;
  /** Text of a bracketed paste that has begun and not ended. */
  #pasted: string | undefined;
  /** Row of the screen, counted from the first row of the edited text, in which the cursor stands. */
  #cursorRow = 0;
  #ended = false;

  constructor(options: LineEditorOptions) {
    this.#options = options;
    emitKeypressEvents(options.input);
    options.input.on("keypress", this.#onKey);
    options.input.once("end", this.#onEnd).once("close", this.#onEnd).on("error", this.#onEnd);
    options.output.on("resize", this.#render);
    this.#takeTerminal(true);
    options.input.resume();
  }

  read(texts: PromptTexts): Promise<ReadResult> {
    if (this.#ended) return Promise.resolve({ type: "end" });
    return new Promise((resolve) => {
      this.#texts = texts;
      this.#resolve = resolve;
      this.#buffer.set("");
      this.#cursorRow = 0;
      this.#render();
      while (this.#resolve !== undefined) {
        const ahead = this.#typedAhead.shift();
        if (ahead === undefined) break;
        this.#handle(...ahead);
      }
    });
  }

  close(): void {
    const { input, output } = this.#options;
    this.#onEnd();
    input.off("keypress", this.#onKey);
    output.off("resize", this.#render);
    this.#takeTerminal(false);
    input.pause();
  }

  readonly #onKey = (text: string | undefined, key: Key): void => {
    if (this.#resolve !== undefined) this.#handle(text, key);
    else if (keyName(key) === "C-c" && this.#pasted === undefined) this.onInterrupt?.();
    else this.#typedAhead.push([text, key]);
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#finish({ type: "end" });
  };

  #handle(text: string | undefined, key: Key): void {
    if (this.#collectPaste(text, key)) return;
    switch (keyName(key)) {
      case "return":
        return this.#finish({ type: "line", text: this.#buffer.text });
      case "C-c":
        return this.#finish({ type: "interrupt", discarded: this.#buffer.text !== "" });
      case "C-d":
        if (this.#buffer.text === "") return this.#finish({ type: "end" });
        this.#buffer.delete();
        break;
      case "C-l":
        this.#options.output.write(CLEAR_SCREEN);
        this.#cursorRow = 0;
        break;
      case "up":
        if (!this.#buffer.up()) this.#leaf(this.#options.history.previous(this.#buffer.text));
        break;
      case "down":
        if (!this.#buffer.down()) this.#leaf(this.#options.history.next());
        break;
      case "C-p":
        this.#leaf(this.#options.history.previous(this.#buffer.text));
        break;
      case "C-n":
        this.#leaf(this.#options.history.next());
        break;
      case "C-g":
        this.#edit();
        break;
      case "C-z":
        return this.#suspend();
      case "tab":
        this.#complete();
        break;
      default:
        if (!editByKey(this.#buffer, text, key)) return;
    }
    this.#render();
  }

  /** Between the marks of a bracketed paste every key is text: a pasted line feed does not send. */
  #collectPaste(text: string | undefined, key: Key): boolean {
    if (key.name === "paste-start") {
      this.#pasted = "";
    } else if (key.name === "paste-end") {
      this.#buffer.insert(pastedText(this.#pasted ?? ""));
      this.#pasted = undefined;
      this.#render();
    } else if (this.#pasted !== undefined) {
      this.#pasted += text ?? key.sequence ?? "";
    } else {
      return false;
    }
    return true;
  }

  #leaf(entry: string | undefined): void {
    if (entry !== undefined) this.#buffer.set(entry);
  }

  #complete(): void {
    const { insert, choices } = this.#options.complete(this.#buffer.text.slice(0, this.#buffer.cursor));
    this.#buffer.insert(insert);
    if (choices.length === 0) return;
    this.#toEnd();
    this.#options.output.write(`${choices.join("  ")}\r\n`);
  }

  #edit(): void {
    this.#takeTerminal(false);
    try {
      this.#buffer.set(this.#options.openEditor(this.#buffer.text));
    } catch (error) {
      this.#toEnd();
      this.#options.output.write(`${(error as Error).message}\r\n`);
    } finally {
      this.#takeTerminal(true);
    }
  }

  /** Ctrl-Z: the shell gets the terminal; `fg` brings the line back. */
  #suspend(): void {
    if (process.platform === "win32") return;
    this.#toEnd();
    this.#takeTerminal(false);
    process.once("SIGCONT", () => {
      this.#takeTerminal(true);
      this.#render();
    });
    process.kill(process.pid, "SIGTSTP");
  }

  #finish(result: ReadResult): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#buffer.cursor = this.#buffer.text.length;
    this.#render({ placeholder: false });
    this.#options.output.write("\r\n");
    this.#resolve = undefined;
    resolve(result);
  }

  /** Leaves the edited text on the screen and goes to a new line below it. */
  #toEnd(): void {
    const cursor = this.#buffer.cursor;
    this.#buffer.cursor = this.#buffer.text.length;
    this.#render({ placeholder: false });
    this.#buffer.cursor = cursor;
    this.#options.output.write("\r\n");
    this.#cursorRow = 0;
  }

  #takeTerminal(take: boolean): void {
    this.#options.input.setRawMode?.(take);
    this.#options.output.write(take ? PASTE_ON : PASTE_OFF);
  }

  readonly #render = ({ placeholder = true } = {}): void => {
    if (this.#resolve === undefined) return;
    const { output, paint } = this.#options;
    const columns = output.columns ?? 80;
    const { text, cursor } = this.#buffer;
    const layout = layOut({ ...this.#texts, text, cursor, columns, rows: output.rows ?? 24 });
    const hint = text === "" && placeholder ? this.#texts.placeholder : "";
    const room = Math.max(0, columns - 1 - this.#texts.prompt.length);
    const below = layout.rows.length - 1 - layout.cursorRow;
    output.write(
      [
        up(this.#cursorRow),
        "\r\u001b[J",
        layout.rows.join("\r\n"),
        paint("grey", hint.slice(0, room)),
        up(below),
        "\r",
        layout.cursorColumn > 0 ? `\u001b[${layout.cursorColumn}C` : "",
      ].join(""),
    );
    this.#cursorRow = layout.cursorRow;
  };
}

function up(rows: number): string {
  return rows > 0 ? `\u001b[${rows}A` : "";
}
