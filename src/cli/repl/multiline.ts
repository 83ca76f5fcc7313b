/** What a finished line, or block of lines, is. */
export interface Entry {
  /** A block in quotes is always a message, even if it begins with "/". */
  kind: "message" | "line";
  text: string;
}

const QUOTES = '"""';
const OPENING = /^\s*(\/set\s+system\s+)?"""/;

/** Joins the lines between `"""` and `"""`, for a message or for `/set system`. */
export class Multiline {
  #lines: string[] | undefined;
  #command = "";

  /** True between the opening and the closing quotes: the prompt is then "... ". */
  get open(): boolean {
    return this.#lines !== undefined;
  }

  /** @returns the entry that this line completes, or undefined while the quotes are open */
  feed(line: string): Entry | undefined {
    let rest = line;
    if (this.#lines === undefined) {
      const opening = OPENING.exec(line);
      if (opening === null) return { kind: "line", text: line };
      this.#command = opening[1] ?? "";
      this.#lines = [];
      rest = line.slice(opening[0].length);
      // The line feed after the opening quotes is not a part of the text.
      if (rest.trim() === "") return undefined;
    }
    const trimmed = rest.trimEnd();
    if (!trimmed.endsWith(QUOTES)) {
      this.#lines.push(rest);
      return undefined;
    }
    this.#lines.push(trimmed.slice(0, -QUOTES.length));
    const text = this.#lines.join("\n").trimEnd();
    const command = this.#command;
    this.reset();
    return command === "" ? { kind: "message", text } : { kind: "line", text: `${command}${text}` };
  }

  /** Forgets what was typed since the opening quotes. */
  reset(): void {
    this.#lines = undefined;
    this.#command = "";
  }
}
