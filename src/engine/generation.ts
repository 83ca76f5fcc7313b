import { MullError } from "../spec/errors.ts";
import type { GenerationOptions } from "../spec/options.ts";
import type { FinishReason, TokenLogprob } from "../spec/stream.ts";
import type { Grammar } from "./grammar.ts";
import { logProbabilities } from "./log-probabilities.ts";
import { Sampler } from "./sampler.ts";
import { TextAssembler } from "./text-assembler.ts";
import type { TextModel } from "./text-model.ts";

export interface GenerationSettings {
  options: GenerationOptions;
  /** Tokens of text in the prompt, oldest first: what penalties look at. */
  history: readonly number[];
  /** Most tokens to choose. */
  limit: number;
  grammar: Grammar | undefined;
  /** Alternatives per token in the log probabilities; undefined: none are computed. */
  logprobs: number | undefined;
  /** Control tokens that are written out, because they delimit tool calls or thoughts. */
  visible: ReadonlySet<number>;
  /** All other control tokens. A grammar knows them by their text only, and would let them stand for it. */
  hidden: readonly number[];
}

/** What came of one choice. */
export interface Choice {
  /** Text that is final now; often empty. */
  delta: string;
  logprob?: TokenLogprob;
  /** The token to read next; absent when the answer has ended. */
  token?: number;
  end?: FinishReason;
  /** The stop string that ended it. */
  stopString?: string;
}

/** The choosing half of one answer: logits in, tokens and text out. Knows nothing of sequences and batches. */
export class Generation {
  /** Tokens chosen so far. */
  tokens = 0;
  readonly #text: TextModel;
  readonly #settings: GenerationSettings;
  readonly #sampler: Sampler;
  readonly #assembler: TextAssembler;
  readonly #history: number[];

  constructor(text: TextModel, settings: GenerationSettings) {
    this.#text = text;
    this.#settings = settings;
    this.#sampler = new Sampler(settings.options);
    this.#assembler = new TextAssembler(settings.options.stop ?? []);
    this.#history = [...settings.history];
  }

  /** @param logits (vocabulary) float32 after the last token that was read; changed in place */
  next(logits: Float32Array): Choice {
    const { grammar, logprobs, limit, hidden } = this.#settings;
    if (this.tokens >= limit) return this.#end("length");
    const before = logprobs === undefined ? undefined : logits.slice();
    if (grammar !== undefined) for (const token of hidden) logits[token] = Number.NEGATIVE_INFINITY;
    const token =
      grammar === undefined
        ? this.#sampler.choose(logits, this.#history)
        : this.#sampler.choose(logits, this.#history, grammar);
    if (token === undefined) {
      throw new MullError(
        "invalid_argument",
        "No token of this model can continue an answer in this format.",
        {
          hint: "Its vocabulary lacks what the schema asks for: allow other characters.",
        },
      );
    }
    this.tokens += 1;
    if (this.#text.endsGeneration(token)) return this.#end("stop");
    grammar?.accept(token);
    const piece = this.#text.piece(token, this.#settings.visible.has(token));
    const logprob =
      before === undefined
        ? {}
        : { logprob: logProbabilities(before, token, logprobs ?? 0, (id) => this.#text.piece(id, true)) };
    const delta = this.#assembler.push(piece);
    const stopString = this.#assembler.metStop;
    if (stopString !== undefined) return { delta, ...logprob, end: "stop", stopString };
    if (this.tokens >= limit) return { ...this.#end("length", delta), ...logprob };
    this.#history.push(token);
    return { delta, ...logprob, token };
  }

  #end(end: FinishReason, delta = ""): Choice {
    return { delta: delta + this.#assembler.end(), end };
  }
}
