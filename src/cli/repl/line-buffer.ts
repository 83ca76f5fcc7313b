import { graphemes } from "../terminal/display-width.ts";

/**
 * The text being edited and the place of the cursor in it. May hold several lines.
 * The cursor never stands inside a grapheme.
 */
export class LineBuffer {
  text = "";
  /** Offset in UTF-16 units. */
  cursor = 0;
  #killed = "";

  set(text: string): void {
    this.text = text;
    this.cursor = text.length;
  }

  insert(text: string): void {
    this.text = this.text.slice(0, this.cursor) + text + this.text.slice(this.cursor);
    this.cursor += text.length;
  }

  left(): void {
    this.cursor -= graphemes(this.text.slice(0, this.cursor)).at(-1)?.length ?? 0;
  }

  right(): void {
    this.cursor += graphemes(this.text.slice(this.cursor))[0]?.length ?? 0;
  }

  wordLeft(): void {
    this.cursor = this.text.slice(0, this.cursor).replace(/\S+\s*$|\s+$/, "").length;
  }

  wordRight(): void {
    this.cursor += /^\s*\S*/.exec(this.text.slice(this.cursor))?.[0].length ?? 0;
  }

  /** Start of the line that the cursor is in. */
  home(): void {
    this.cursor = this.#startOfLine();
  }

  /** End of the line that the cursor is in. */
  end(): void {
    const next = this.text.indexOf("\n", this.cursor);
    this.cursor = next === -1 ? this.text.length : next;
  }

  /** One line up, as near to the same column as there is text; false when there is no line above. */
  up(): boolean {
    const start = this.#startOfLine();
    if (start === 0) return false;
    const column = this.cursor - start;
    this.cursor = start - 1;
    const above = this.#startOfLine();
    this.cursor = Math.min(above + column, start - 1);
    return true;
  }

  /** One line down; false when there is no line below. */
  down(): boolean {
    const column = this.cursor - this.#startOfLine();
    const next = this.text.indexOf("\n", this.cursor);
    if (next === -1) return false;
    this.cursor = next + 1;
    const start = this.cursor;
    this.end();
    this.cursor = Math.min(start + column, this.cursor);
    return true;
  }

  backspace(): void {
    const end = this.cursor;
    this.left();
    this.#remove(this.cursor, end);
  }

  delete(): void {
    const start = this.cursor;
    this.right();
    this.#remove(start, this.cursor);
  }

  killToEnd(): void {
    const start = this.cursor;
    this.end();
    // At the end of a line the line feed itself goes, as in Emacs.
    this.#kill(start, this.cursor === start ? start + 1 : this.cursor);
  }

  killToStart(): void {
    const end = this.cursor;
    this.home();
    this.#kill(this.cursor, end);
  }

  killWordLeft(): void {
    const end = this.cursor;
    this.wordLeft();
    this.#kill(this.cursor, end);
  }

  killWordRight(): void {
    const start = this.cursor;
    this.wordRight();
    this.#kill(start, this.cursor);
  }

  /** Puts back what the last kill took. */
  yank(): void {
    this.insert(this.#killed);
  }

  #startOfLine(): number {
    // lastIndexOf takes a negative start for 0, where a line feed may stand.
    return this.cursor === 0 ? 0 : this.text.lastIndexOf("\n", this.cursor - 1) + 1;
  }

  #kill(start: number, end: number): void {
    const killed = this.text.slice(start, end);
    if (killed !== "") this.#killed = killed;
    this.#remove(start, end);
  }

  #remove(start: number, end: number): void {
    this.text = this.text.slice(0, start) + this.text.slice(end);
    this.cursor = start;
  }
}
