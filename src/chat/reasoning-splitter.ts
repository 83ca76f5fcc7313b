import type { AnswerEvent, AnswerSplitter } from "./answer-event.ts";
import { possibleTagLength, trailingSpace } from "./held-text.ts";
import type { ThinkTags } from "./think-tags.ts";

/**
 * Tells thoughts from the answer. Thoughts stand between tags at the beginning, or the prompt has opened them already;
 * a tag later on is text. White space around thoughts belongs to the tags.
 */
export class ReasoningSplitter implements AnswerSplitter {
  readonly #tags: readonly ThinkTags[];
  /** The tags that are open. */
  #open: ThinkTags | undefined;
  /** Until it is known that the answer does not begin with a call. */
  #call: string | undefined;
  #state: "before" | "thoughts" | "after" | "answer";
  #atStart = true;
  #held = "";

  /**
   * @param promptEnd how the prompt ends
   * @param call how a call begins: one at once, where the prompt has opened a thought, is a call that was enforced
   */
  constructor(tags: readonly ThinkTags[], promptEnd: string, call?: string) {
    this.#tags = tags;
    this.#call = call;
    this.#open = tags.find(({ open }) => promptEnd.trimEnd().endsWith(open));
    this.#state = tags.length === 0 ? "answer" : this.#open === undefined ? "before" : "thoughts";
  }

  push(delta: string): AnswerEvent[] {
    if (this.#state === "answer") return eventsOf("text", delta);
    this.#held += delta;
    return this.#state === "thoughts" ? this.#think() : this.#begin();
  }

  end(): AnswerEvent[] {
    const rest = this.#state === "after" ? this.#held.trimStart() : this.#held;
    this.#held = "";
    return eventsOf(this.#state === "thoughts" ? "reasoning" : "text", rest);
  }

  /** Outside thoughts, where they may begin. */
  #begin(): AnswerEvent[] {
    const text = this.#held.trimStart();
    const tags = this.#tags.find(({ open }) => text.startsWith(open));
    if (tags !== undefined) {
      this.#open = tags;
      this.#state = "thoughts";
      this.#call = undefined;
      this.#atStart = true;
      this.#held = text.slice(tags.open.length);
      return this.#think();
    }
    if (this.#tags.some(({ open }) => open.startsWith(text))) return [];
    // White space after thoughts belongs to them; before an answer without any it is the model's own.
    return this.#answer(this.#state === "after" ? text : this.#held);
  }

  #answer(text: string): AnswerEvent[] {
    this.#held = "";
    this.#state = "answer";
    return eventsOf("text", text);
  }

  #think(): AnswerEvent[] {
    const { close } = this.#open as ThinkTags;
    if (this.#atStart) {
      this.#held = this.#held.trimStart();
      if (this.#held === "") return [];
      if (this.#call?.startsWith(this.#held)) return [];
      if (this.#call !== undefined && this.#held.startsWith(this.#call)) return this.#answer(this.#held);
      this.#call = undefined;
      this.#atStart = false;
    }
    const place = this.#held.indexOf(close);
    if (place < 0) {
      const settled = this.#held.length - possibleTagLength(this.#held, [close]);
      return this.#release(settled - trailingSpace(this.#held.slice(0, settled)));
    }
    const thoughts = this.#held.slice(0, place).trimEnd();
    this.#held = this.#held.slice(place + close.length);
    this.#state = "after";
    return [...eventsOf("reasoning", thoughts), ...this.#begin()];
  }

  #release(length: number): AnswerEvent[] {
    const delta = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return eventsOf("reasoning", delta);
  }
}

function eventsOf(type: "text" | "reasoning", delta: string): AnswerEvent[] {
  return delta === "" ? [] : [{ type, delta }];
}
