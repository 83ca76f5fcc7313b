import { invalidModel, quote } from "../../../gguf/invalid-model.ts";

/** `tokenizer.ggml.token_type` */
export const TOKEN_TYPES = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

export type TokenType = (typeof TOKEN_TYPES)[keyof typeof TOKEN_TYPES];

const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;
/** Of tokens that are matched as a whole before anything is merged. */
const ADDED_SCORE = -1000;
const PADDING_SCORE = -10_000;

/** A vocabulary while it is put together: three columns with one entry per row of the model's embedding. */
export class Vocabulary {
  readonly size: number;
  /** Undefined: no file names this token. */
  readonly tokens: (string | undefined)[];
  readonly scores: Float32Array; // (size) float32
  readonly types: Int32Array; // (size) int32
  readonly #path: string;

  /** @param path the file that errors name */
  constructor(path: string, size: number) {
    this.#path = path;
    this.size = size;
    this.tokens = Array.from({ length: size });
    this.scores = new Float32Array(size).fill(PADDING_SCORE);
    this.types = new Int32Array(size).fill(TOKEN_TYPES.unused);
  }

  set(id: number, text: string, type: TokenType, score = 0): void {
    if (id >= this.size) {
      throw invalidModel(
        this.#path,
        `token ${quote(text)} has number ${id}, but the model has rows for ${this.size} tokens`,
        "The tokenizer belongs to another model.",
      );
    }
    const earlier = this.tokens[id];
    if (earlier !== undefined) {
      throw invalidModel(this.#path, `tokens ${quote(earlier)} and ${quote(text)} both have number ${id}`);
    }
    this.tokens[id] = text;
    this.types[id] = type;
    this.scores[id] = score;
  }

  /**
   * A token that was added to the vocabulary later, or says more about one that is there. One beyond the last row
   * of the model can never be read or written by it, so it is left out, as in published conversions.
   */
  add(id: number, text: string, type: TokenType): void {
    if (id >= this.size) return;
    // Listed again by its own name: what the vocabulary says of it is more exact.
    const builtIn: readonly number[] = [TOKEN_TYPES.unknown, TOKEN_TYPES.control, TOKEN_TYPES.byte];
    if (this.tokens[id] === text && builtIn.includes(this.types[id] as number)) return;
    this.tokens[id] = text;
    this.types[id] = type;
    this.scores[id] = ADDED_SCORE;
  }

  /**
   * All tokens by name, with names for the holes.
   *
   * @throws MullError `invalid_model` for two tokens of one name: native code aborts on them
   */
  finish(): ReadonlyMap<string, number> {
    const ids = new Map<string, number>();
    const holes: number[] = [];
    for (const [id, text] of this.tokens.entries()) {
      // Native code reads a name up to its first NUL; one that is empty is as good as none.
      const name = text?.split("\0", 1)[0] ?? "";
      if (text === undefined || name === "") {
        holes.push(id);
        continue;
      }
      const earlier = ids.get(name);
      if (earlier !== undefined) {
        throw invalidModel(this.#path, `tokens ${earlier} and ${id} are both named ${quote(text)}`);
      }
      if (this.types[id] === TOKEN_TYPES.byte && !BYTE_TOKEN.test(text)) {
        throw invalidModel(
          this.#path,
          `token ${id} stands for a byte, but is named ${quote(text)} and not <0x00> to <0xFF>`,
        );
      }
      ids.set(name, id);
    }
    for (const id of holes) {
      let name = `[PAD${id}]`;
      while (ids.has(name)) name += "_";
      this.tokens[id] = name;
      this.types[id] = TOKEN_TYPES.unused;
      ids.set(name, id);
    }
    return ids;
  }
}

/** Names of the 256 tokens that spell what no other token does. */
export const BYTE_TOKENS: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);
