import type { OutputStream } from "../cli-context.ts";
import { displayWidth } from "./display-width.ts";
import { safeText } from "./safe-text.ts";

/**
 * Writes an answer as it grows. On a terminal, control characters are made visible and lines break between words;
 * into a pipe or a file the text goes as the model said it.
 *
 * A word appears letter by letter. When it turns out not to fit, what is there of it is taken back and the word
 * starts again on the next line: nothing is held back, so the first letter is on the screen at once.
 */
export class AnswerWriter {
  readonly #stream: OutputStream;
  readonly #wrap: boolean;
  /** Cells used in the current line. */
  #column = 0;
  /** The unfinished word at the end of the line. */
  #word = "";
  #endsWithNewline = true;
  #started = false;

  constructor(stream: OutputStream, options: { wordWrap: boolean }) {
    this.#stream = stream;
    this.#wrap = options.wordWrap && stream.isTTY === true;
  }

  /** True when the next thing written would stand in the middle of a line. */
  get midLine(): boolean {
    return !this.#endsWithNewline;
  }

  write(delta: string): void {
    const shown = this.#stream.isTTY === true ? safeText(delta) : delta;
    // Most models begin with the blank that stands after "ASSISTANT:" in their training.
    const text = this.#started ? shown : shown.trimStart();
    if (text === "") return;
    this.#started = true;
    this.#endsWithNewline = text.endsWith("\n");
    this.#stream.write(this.#wrap ? this.#wrapped(text) : text);
  }

  /** Ends the last line, if it is open. */
  end(): void {
    if (this.midLine) this.#stream.write("\n");
    this.#endsWithNewline = true;
    this.#started = false;
    this.#column = 0;
    this.#word = "";
  }

  #wrapped(text: string): string {
    // One cell stays free: a full line leaves the cursor in a state that terminals do not agree on.
    const columns = Math.max(10, (this.#stream.columns ?? 80) - 1);
    let out = "";
    for (const piece of text.match(/\n|[^\S\n]+|\S+/g) ?? []) {
      if (piece === "\n") {
        out += "\n";
        this.#column = 0;
        this.#word = "";
      } else if (piece.trim() === "") {
        this.#word = "";
        const width = displayWidth(piece.replaceAll("\t", "    "));
        // Blanks at the end of a full line are the line break.
        if (this.#column + width > columns) continue;
        out += piece.replaceAll("\t", "    ");
        this.#column += width;
      } else {
        out += this.#place(piece, columns);
      }
    }
    return out;
  }

  #place(piece: string, columns: number): string {
    const width = displayWidth(piece);
    const begun = displayWidth(this.#word);
    this.#word += piece;
    const fits = this.#column + width <= columns;
    const startsLine = this.#column === begun;
    if (fits || startsLine) {
      // A word wider than the line is left to the terminal, which breaks it at the edge.
      this.#column += width;
      return piece;
    }
    this.#column = begun + width;
    const takeBack = begun > 0 ? `\u001b[${begun}D\u001b[K` : "";
    return `${takeBack}\n${this.#word}`;
  }
}
