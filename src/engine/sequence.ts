import type { EncodedImageFacts } from "./protocol.ts";

/** The rows of one picture, which are kept or forgotten together. */
export interface ImageUnit {
  /** SHA-256 of the pixels and their size. */
  key: string;
  rows: number;
  /** Filled in when the picture is encoded, so that a receipt can be written again without its pixels. */
  facts?: EncodedImageFacts;
}

/** One unit of a sequence: a token, or a picture. */
export type SequenceUnit = number | ImageUnit;

/** What lies in the KV cache, in order. The engine keeps it in step with the native cache. */
export class Sequence {
  #units: SequenceUnit[] = [];
  #positions = 0;

  /** Positions taken: the next token goes there. */
  get positions(): number {
    return this.#positions;
  }

  /** Tokens of text, oldest first: what penalties look at. */
  get tokens(): number[] {
    return this.#units.filter((unit) => typeof unit === "number");
  }

  append(units: readonly SequenceUnit[]): void {
    for (const unit of units) {
      this.#units.push(unit);
      this.#positions += unitLength(unit);
    }
  }

  unit(place: number): SequenceUnit | undefined {
    return this.#units[place];
  }

  /**
   * Shortens the sequence to what it shares with a prompt, except the prompt's last unit: that one must be read
   * again, because its logits choose the first token of the answer.
   *
   * @returns how many units of the prompt are already there
   */
  keepPrefix(prompt: readonly SequenceUnit[]): number {
    let shared = 0;
    while (shared < prompt.length - 1 && sameUnit(this.#units[shared], prompt[shared])) shared++;
    this.#units.length = Math.min(this.#units.length, shared);
    this.#positions = this.#units.reduce<number>((sum, unit) => sum + unitLength(unit), 0);
    return shared;
  }

  clear(): void {
    this.#units = [];
    this.#positions = 0;
  }
}

function unitLength(unit: SequenceUnit): number {
  return typeof unit === "number" ? 1 : unit.rows;
}

function sameUnit(a: SequenceUnit | undefined, b: SequenceUnit | undefined): boolean {
  if (typeof a === "object" && typeof b === "object") return a.key === b.key && a.rows === b.rows;
  return a !== undefined && a === b;
}
