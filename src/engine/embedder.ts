import { MullError } from "../spec/errors.ts";
import type { TextModel } from "./text-model.ts";

/** An embedding model at work: each text is read as a whole, one after the other, and pooled as its file says. */
export class Embedder {
  readonly #text: TextModel;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(text: TextModel) {
    this.#text = text;
  }

  pool(tokens: readonly number[]): Promise<Float32Array> {
    const result = this.#turn.then(() => this.#poolNow(tokens));
    this.#turn = result.catch(() => {});
    return result;
  }

  async #poolNow(tokens: readonly number[]): Promise<Float32Array> {
    const entries = tokens.map((_, position) => ({ sequence: 0, position, output: true }));
    try {
      const outcome = await this.#text.readTokens(tokens, entries);
      if (outcome !== "done") throw new MullError("internal", `The text could not be embedded (${outcome}).`);
      return this.#text.pooledState(0);
    } finally {
      this.#text.forget(0, 0);
    }
  }
}
