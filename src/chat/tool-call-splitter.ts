import type { ToolCall } from "../spec/tool.ts";
import type { AnswerEvent, AnswerSplitter } from "./answer-event.ts";
import { possibleTagLength, trailingSpace } from "./held-text.ts";
import { JsonScanner } from "./json-scanner.ts";
import { mayBeCall, readArguments, readCalls, toolCall } from "./read-call.ts";
import { type ToolFormat, openingTag } from "./tool-format.ts";

/** Between `[TOOL_CALLS]` and the arguments stand a name and at most two tags. */
const LONGEST_NAME = 300;
const NAME = /^([\w.-]+)(?:\[CALL_ID\][\w-]*)?(?:\[ARGS\])?\s*$/;

/**
 * Takes tool calls out of an answer. Text is passed on at once unless a tag may begin in it; a call is held back until
 * its JSON is whole. JSON that turns out to be no call comes out as the text it was, with its tags. An answer that is
 * nothing but calls in JSON counts as calls without any tag, since many models leave the tags out.
 */
export class ToolCallSplitter implements AnswerSplitter {
  readonly #open: string;
  readonly #close: string;
  readonly #named: boolean;
  /** `bare`: a call without tags was read, so another may follow. */
  #state:
    | "start"
    | "text"
    | "opened"
    | "json"
    | "other-json"
    | "after-tagged"
    | "after-bare"
    | "after-closed" = "start";
  /** Not looked at yet, or may be the beginning of something. */
  #held = "";
  /** What was read since the last event: it is text if no call comes of it. */
  #pending = "";
  /** The JSON read so far, in pieces. */
  #json: string[] = [];
  #scanner = new JsonScanner();
  #isTagged = false;
  /** The call's name where it stands outside the JSON. */
  #name: string | undefined;

  constructor(format: ToolFormat) {
    this.#open = openingTag(format);
    this.#close = format.close;
    this.#named = format.name === "mistral" || format.name === "mistral-args";
  }

  push(delta: string): AnswerEvent[] {
    this.#held += delta;
    const events: AnswerEvent[] = [];
    // Each step either settles something or waits for more.
    while (this.#held !== "" && this.#step(events));
    return events;
  }

  end(): AnswerEvent[] {
    const rest = this.#pending + this.#json.join("") + this.#held;
    this.#json = [];
    this.#pending = "";
    this.#held = "";
    const isSpace = this.#state.startsWith("after") && rest.trim() === "";
    const tag = rest.trim();
    const isTag = this.#state === "after-tagged" && tag.length > 1 && this.#close.startsWith(tag);
    return rest === "" || isSpace || isTag ? [] : [{ type: "text", delta: rest }];
  }

  /** @returns whether there may be more to do with what is held */
  #step(events: AnswerEvent[]): boolean {
    switch (this.#state) {
      case "start":
        return this.#begin();
      case "text":
        return this.#readText(events);
      case "opened":
        return this.#readOpened(events);
      case "json":
        return this.#readJson(events);
      case "other-json":
        return this.#readOtherJson(events);
      default:
        return this.#readAfter();
    }
  }

  #begin(): boolean {
    const text = this.#held.trimStart();
    if (text === "") return false;
    if (text.startsWith("{")) this.#startJson(false);
    else this.#state = "text";
    return true;
  }

  #readText(events: AnswerEvent[]): boolean {
    const place = this.#held.indexOf(this.#open);
    if (place < 0) {
      const settled = this.#held.length - possibleTagLength(this.#held, [this.#open]);
      this.#emit(events, this.#take(settled - trailingSpace(this.#held.slice(0, settled))));
      return false;
    }
    const space = trailingSpace(this.#held.slice(0, place));
    this.#emit(events, this.#take(place - space));
    this.#pending = this.#take(space + this.#open.length);
    this.#state = "opened";
    return true;
  }

  #readOpened(events: AnswerEvent[]): boolean {
    const text = this.#held.trimStart();
    if (text === "") return false;
    if (text.startsWith("{") || text.startsWith("[")) {
      this.#name = undefined;
      this.#startJson(true);
      return true;
    }
    const brace = text.indexOf("{");
    const name = NAME.exec(brace < 0 ? text : text.slice(0, brace));
    if (this.#named && brace < 0 && text.length < LONGEST_NAME) return false;
    if (!this.#named || brace < 0 || brace >= LONGEST_NAME || name === null) {
      this.#giveUp(events);
      return true;
    }
    this.#name = name[1];
    this.#pending += this.#take(this.#held.indexOf("{"));
    this.#startJson(true);
    return true;
  }

  #startJson(isTagged: boolean): void {
    this.#pending += this.#take(this.#held.length - this.#held.trimStart().length);
    this.#isTagged = isTagged;
    this.#scanner = new JsonScanner();
    this.#state = "json";
  }

  #readJson(events: AnswerEvent[]): boolean {
    const end = this.#scanner.end(this.#held);
    this.#json.push(this.#take(end ?? this.#held.length));
    if (end === undefined) {
      // Other JSON need not wait for its end.
      if (this.#isTagged || mayBeCall(this.#json)) return false;
      this.#giveUp(events);
      this.#state = "other-json";
      return false;
    }
    const json = this.#json.join("");
    const calls = this.#scanner.failed ? undefined : this.#callsIn(json);
    if (calls === undefined) {
      this.#giveUp(events);
      return true;
    }
    for (const call of calls) events.push({ type: "tool-call", toolCall: call });
    this.#json = [];
    this.#pending = "";
    this.#state = this.#isTagged ? "after-tagged" : "after-bare";
    return true;
  }

  #readOtherJson(events: AnswerEvent[]): boolean {
    const end = this.#scanner.end(this.#held);
    this.#emit(events, this.#take(end ?? this.#held.length));
    if (end !== undefined) this.#state = "text";
    return end !== undefined;
  }

  #callsIn(json: string): ToolCall[] | undefined {
    if (this.#name === undefined) return readCalls(json, !this.#isTagged);
    const given = readArguments(json);
    return given === undefined ? undefined : [toolCall(this.#name, given)];
  }

  /** After a call: its closing tag, another call, or text. */
  #readAfter(): boolean {
    const text = this.#held.trimStart();
    if (text === "") return false;
    if (this.#state === "after-tagged" && this.#close !== "") {
      if (text.startsWith(this.#close)) {
        this.#held = text.slice(this.#close.length);
        this.#state = "after-closed";
        return true;
      }
      if (this.#close.startsWith(text)) return false;
    }
    if (this.#open.startsWith(text) && text !== this.#open) return false;
    const next = /^[\s,;]*/.exec(this.#held)?.[0].length as number;
    if (this.#state !== "after-closed" && !text.startsWith(this.#open)) {
      if (next === this.#held.length) return false;
      if (this.#held[next] === "{") {
        this.#pending = this.#take(next);
        this.#name = undefined;
        this.#startJson(this.#state === "after-tagged");
        return true;
      }
    }
    this.#held = text;
    this.#state = "text";
    return true;
  }

  /** What was taken for a call is text. */
  #giveUp(events: AnswerEvent[]): void {
    this.#emit(events, this.#pending + this.#json.join(""));
    this.#pending = "";
    this.#json = [];
    this.#state = "text";
  }

  #emit(events: AnswerEvent[], delta: string): void {
    if (delta !== "") events.push({ type: "text", delta });
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}
