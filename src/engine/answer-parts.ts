import type { AnswerEvent, AnswerParser } from "../chat/answer-parser.ts";
import type { StreamPart, Timings, TokenLogprob } from "../spec/stream.ts";
import { type DecodedPicture, completeReceipt } from "./decoded-picture.ts";
import type { EnginePart } from "./protocol.ts";

type Stage = "text" | "reasoning";

/** Turns what the engine tells of one answer into the parts of its stream. */
export class AnswerParts {
  readonly #openParser: (promptEnd: string) => AnswerParser;
  readonly #images: readonly DecodedPicture[];
  readonly #started: number;
  #parser: AnswerParser | undefined;
  /** What is being written, and its number. */
  #open: { stage: Stage; id: string } | undefined;
  #opened = 0;
  #firstTokenMs = 0;
  #calls = 0;
  /** Tokens of the answer so far. */
  #tokens = 0;
  /** Those up to the last thought: thoughts come first. */
  #reasoningTokens = 0;
  /** Of tokens whose text the parser still holds back. */
  #logprobs: TokenLogprob[] = [];

  /** @param started when the request began, by `performance.now()` */
  constructor(
    openParser: (promptEnd: string) => AnswerParser,
    images: readonly DecodedPicture[],
    started: number,
  ) {
    this.#openParser = openParser;
    this.#images = images;
    this.#started = started;
  }

  *of(part: EnginePart, times: Pick<Timings, "loadMs" | "decodeMs">): Generator<StreamPart, void, undefined> {
    switch (part.type) {
      case "progress":
        yield part;
        break;
      case "prompt":
        this.#parser = this.#openParser(part.end);
        break;
      case "image":
        yield {
          type: "media",
          receipt: completeReceipt(this.#images[part.index] as DecodedPicture, part.facts),
        };
        break;
      case "text":
        if (this.#firstTokenMs === 0) this.#firstTokenMs = performance.now() - this.#started;
        if (part.logprob !== undefined) this.#logprobs.push(part.logprob);
        this.#tokens = part.tokens;
        yield* this.#events(this.#parser?.push(part.delta) ?? []);
        break;
      case "finish": {
        yield* this.#events(this.#parser?.end() ?? []);
        yield* this.#close();
        const totalMs = performance.now() - this.#started;
        const timings = { ...part.timings, ...times, firstTokenMs: this.#firstTokenMs, totalMs };
        const reason = this.#calls > 0 && part.reason === "stop" ? "tool-calls" : part.reason;
        const reasoningTokens = this.#reasoningTokens;
        const usage = reasoningTokens === 0 ? part.usage : { ...part.usage, reasoningTokens };
        yield { ...part, reason, usage, timings };
      }
    }
  }

  *#events(events: readonly AnswerEvent[]): Generator<StreamPart, void, undefined> {
    for (const event of events) {
      if (event.type === "tool-call") {
        yield* this.#close();
        this.#calls += 1;
        yield event;
        continue;
      }
      const { type: stage, delta } = event;
      if (this.#open?.stage !== stage) {
        yield* this.#close();
        this.#open = { stage, id: String(this.#opened++) };
        yield { type: `${stage}-start`, id: this.#open.id };
      }
      const { id } = this.#open;
      if (stage === "reasoning") {
        this.#reasoningTokens = this.#tokens;
        yield { type: "reasoning-delta", id, delta };
      } else yield { type: "text-delta", id, delta, ...this.#takeLogprobs() };
    }
  }

  *#close(): Generator<StreamPart, void, undefined> {
    if (this.#open === undefined) return;
    const { stage, id } = this.#open;
    this.#open = undefined;
    yield { type: `${stage}-end`, id };
  }

  #takeLogprobs(): { logprobs?: readonly TokenLogprob[] } {
    if (this.#logprobs.length === 0) return {};
    const logprobs = this.#logprobs;
    this.#logprobs = [];
    return { logprobs };
  }
}
