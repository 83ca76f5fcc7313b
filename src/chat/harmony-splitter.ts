import type { AnswerEvent, AnswerSplitter } from "./answer-event.ts";
import { possibleTagLength } from "./held-text.ts";
import { readArguments, toolCall } from "./read-call.ts";

const ENDS = ["<|end|>", "<|call|>", "<|return|>", "<|start|>"];
const MESSAGE = "<|message|>";
export const HARMONY_TAGS: readonly string[] = [...ENDS, "<|channel|>", "<|constrain|>", MESSAGE];
const LONGEST_HEADER = 300;

/**
 * Answers of gpt-oss ("harmony"): messages of `<|start|>assistant<|channel|>channel to=recipient<|message|>text<|end|>`,
 * the first without `<|start|>assistant`, which the prompt ends with. The channel `analysis` holds thoughts, a
 * recipient `functions.name` makes a call, everything else is text.
 */
export class HarmonySplitter implements AnswerSplitter {
  readonly #tools: boolean;
  #state: "header" | "body" | "text" = "header";
  #header = "";
  #held = "";
  /** Arguments of a call, in pieces. */
  #call: { name: string; json: string[] } | undefined;
  #channel: "text" | "reasoning" = "text";

  constructor(tools: boolean) {
    this.#tools = tools;
  }

  push(delta: string): AnswerEvent[] {
    const events: AnswerEvent[] = [];
    this.#held += delta;
    while (this.#held !== "" && this.#step(events));
    return events;
  }

  end(): AnswerEvent[] {
    const events: AnswerEvent[] = [];
    const held = this.#held;
    this.#held = "";
    if (this.#state === "body") {
      this.#emit(events, held);
      this.#endBody(events);
      return events;
    }
    // An answer that stopped within a header; a role alone says nothing.
    if (!/^\s*(?:<\|start\|>)?(?:assistant)?$/.test(held)) events.push({ type: "text", delta: held });
    return events;
  }

  #step(events: AnswerEvent[]): boolean {
    if (this.#state === "header") return this.#readHeader();
    if (this.#state === "text") {
      this.#emit(events, this.#take(this.#held.length));
      return false;
    }
    const found = ENDS.map((end) => ({ end, place: this.#held.indexOf(end) })).filter(
      ({ place }) => place >= 0,
    );
    const [first] = found.sort((a, b) => a.place - b.place);
    if (first === undefined) {
      this.#emit(events, this.#take(this.#held.length - possibleTagLength(this.#held, ENDS)));
      return false;
    }
    this.#emit(events, this.#take(first.place));
    this.#take(first.end.length);
    this.#endBody(events);
    this.#state = "header";
    return true;
  }

  #readHeader(): boolean {
    const place = this.#held.indexOf(MESSAGE);
    if (place < 0 && this.#held.length < LONGEST_HEADER + MESSAGE.length) return false;
    if (place < 0 || place > LONGEST_HEADER) {
      this.#state = "text";
      this.#channel = "text";
      return true;
    }
    const header = this.#take(place);
    this.#take(MESSAGE.length);
    this.#header = header + MESSAGE;
    const name = /\bto=functions\.([\w.-]+)/.exec(header)?.[1];
    this.#call = name !== undefined && this.#tools ? { name, json: [] } : undefined;
    this.#channel = /<\|channel\|>analysis/.test(header) ? "reasoning" : "text";
    this.#state = "body";
    return true;
  }

  #endBody(events: AnswerEvent[]): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined) return;
    const json = call.json.join("");
    const given = readArguments(json);
    if (given === undefined) this.#emit(events, this.#header + json);
    else events.push({ type: "tool-call", toolCall: toolCall(call.name, given) });
  }

  #emit(events: AnswerEvent[], delta: string): void {
    if (delta === "") return;
    if (this.#call !== undefined) this.#call.json.push(delta);
    else events.push({ type: this.#channel, delta });
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}
