/** Finds the end of a JSON object or array in text that comes piece by piece, reading every character once. */
export class JsonScanner {
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** Whether what was read cannot be JSON: something stands outside strings that has no place there. */
  failed = false;

  /** @returns the place in this piece behind the value, or where it fails; undefined while it goes on */
  end(piece: string): number | undefined {
    for (let at = 0; at < piece.length; at++) {
      const letter = piece[at] as string;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (letter === "\\") this.#escaped = true;
        else if (letter === '"') this.#inString = false;
      } else if (letter === '"') this.#inString = true;
      else if (letter === "{" || letter === "[") this.#depth++;
      else if (letter === "}" || letter === "]") {
        if (--this.#depth === 0) return at + 1;
      } else if (/[^\s\w.,:+-]/.test(letter)) {
        this.failed = true;
        return at;
      }
    }
    return undefined;
  }
}
