import { type CodePoints } from "./code-points.ts";
import { tooComplex } from "./budget.ts";

const MOST_BYTES = 256 * 1024;
const MOST_RULES = 10_000;
/** llama.cpp writes a repetition out; it refuses 2000 of one symbol, and more than that means "without end" to it. */
const MOST_COPIES = 1000;
const MOST_COPIES_IN_ALL = 50_000;
/** Longer repetitions of a character are made of blocks. */
const BLOCK = 100;

/**
 * Rules of a grammar in llama.cpp's notation (GBNF), as they are collected. Names are made here, and every text that
 * comes from outside passes `literal` or `characters`, so nothing in a schema can add to the grammar.
 */
export class GrammarText {
  readonly #rules = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #bytes = 0;
  #copies = 0;

  /** A rule with this body: the same one for the same body. @returns its name */
  define(body: string, name?: string): string {
    const known = this.#names.get(body);
    if (known !== undefined && name === undefined) return known;
    const own = name ?? this.reserve();
    this.set(own, body);
    this.#names.set(body, own);
    return own;
  }

  /** A name whose body comes later, for rules that refer to each other. */
  reserve(): string {
    const name = `r${this.#rules.size}`;
    this.#rules.set(name, "");
    if (this.#rules.size > MOST_RULES) throw tooComplex(`its grammar has more than ${MOST_RULES} rules`);
    return name;
  }

  /** Whether a name still waits for its body. */
  isReserved(name: string): boolean {
    return this.#rules.get(name) === "";
  }

  has(name: string): boolean {
    return this.#rules.has(name);
  }

  set(name: string, body: string): void {
    this.#rules.set(name, body);
    this.#bytes += name.length + body.length + " ::= \n".length;
    if (this.#bytes > MOST_BYTES) throw tooComplex(`its grammar is longer than ${MOST_BYTES} bytes`);
  }

  /** One symbol, `min` to `max` times. */
  repeat(symbol: string, min: number, max: number): string {
    if (max === 0) return '""';
    if (min === 1 && max === 1) return symbol;
    if (min === 0 && max === 1) return `${symbol}?`;
    this.#countCopies(max === Infinity ? min : max);
    if (max === Infinity) return min === 0 ? `${symbol}*` : min === 1 ? `${symbol}+` : `${symbol}{${min},}`;
    return min === max ? `${symbol}{${min}}` : `${symbol}{${min},${max}}`;
  }

  /** One character, any number of times: as rules of blocks when it is often. */
  repeatCharacter(symbol: string, min: number, max: number): string {
    if (min <= BLOCK && (max === Infinity || max <= 3 * BLOCK)) return this.repeat(symbol, min, max);
    const rest = max === Infinity ? `${symbol}*` : this.#upTo(symbol, max - min);
    return min === 0 ? rest : `${this.#exactly(symbol, min)} ${rest}`;
  }

  toString(): string {
    return [...this.#rules].map(([name, body]) => `${name} ::= ${body}\n`).join("");
  }

  #exactly(symbol: string, count: number): string {
    if (count <= BLOCK) return this.repeat(symbol, count, count);
    const block = this.define(this.repeat(symbol, BLOCK, BLOCK));
    const rest = count % BLOCK;
    const blocks = this.#exactly(block, Math.floor(count / BLOCK));
    return rest === 0 ? blocks : `${blocks} ${this.repeat(symbol, rest, rest)}`;
  }

  /** Some whole blocks and less than one more; or all of them and what is left over. */
  #upTo(symbol: string, count: number): string {
    if (count <= BLOCK) return this.repeat(symbol, 0, count);
    const block = this.define(this.repeat(symbol, BLOCK, BLOCK));
    const blocks = Math.floor(count / BLOCK);
    const rest = count % BLOCK;
    const some = blocks > 1 ? `${this.#upTo(block, blocks - 1)} ` : "";
    const left = rest > 0 ? ` ${this.repeat(symbol, 0, rest)}` : "";
    return `( ${some}${this.repeat(symbol, 0, BLOCK - 1)} | ${this.#exactly(block, blocks)}${left} )`;
  }

  #countCopies(count: number): void {
    if (count > MOST_COPIES) throw tooComplex(`something may be repeated ${count} times`);
    this.#copies += count;
    if (this.#copies > MOST_COPIES_IN_ALL) throw tooComplex("its limits on lengths are too large together");
  }
}

/** Text as it stands. */
export function literal(text: string): string {
  return `"${Array.from(text, (letter) => (/["\\]/.test(letter) ? `\\${letter}` : escaped(letter))).join("")}"`;
}

/** One character of a set that is not empty. */
export function characters(set: CodePoints): string {
  const letter = (codePoint: number): string => {
    const character = String.fromCodePoint(codePoint);
    // The caret has no escape of its own, and the minus not in every version.
    return /[-^]/.test(character)
      ? byNumber(codePoint)
      : /[[\]\\]/.test(character)
        ? `\\${character}`
        : escaped(character);
  };
  const ranges = set.map(([first, last]) =>
    first === last ? letter(first) : `${letter(first)}-${letter(last)}`,
  );
  return `[${ranges.join("")}]`;
}

/** Printable ASCII as it is, everything else by its number. */
function escaped(letter: string): string {
  return /[ -~]/.test(letter) ? letter : byNumber(letter.codePointAt(0) as number);
}

function byNumber(codePoint: number): string {
  const digits = codePoint.toString(16).toUpperCase();
  if (codePoint <= 0xff) return `\\x${digits.padStart(2, "0")}`;
  return codePoint <= 0xffff ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}
