import type { AnswerEvent, AnswerSplitter } from "./answer-event.ts";
import { HARMONY_TAGS, HarmonySplitter } from "./harmony-splitter.ts";
import { ReasoningSplitter } from "./reasoning-splitter.ts";
import { thinkTags } from "./think-tags.ts";
import { ToolCallSplitter } from "./tool-call-splitter.ts";
import { isHarmony, openingTag, toolFormat } from "./tool-format.ts";

export type { AnswerEvent } from "./answer-event.ts";

/**
 * Reads a model's answer while it is written: text, thoughts and tool calls, whatever the pieces are cut into. Nothing is
 * lost: what looks like a call and is none comes out as text. Tags of thoughts and calls, and white space beside
 * them, belong to neither. Control tokens of `visibleControlTokens` must be part of the text.
 */
export class AnswerParser {
  readonly #stages: readonly AnswerSplitter[];

  /**
   * @param options.tools whether tools were given: else nothing is taken for a call
   * @param options.prompt the end of the rendered prompt: if it opens the model's thoughts, the answer begins in them
   */
  constructor(options: { template: string; tools: boolean; prompt: string }) {
    const { template, tools, prompt } = options;
    if (isHarmony(template)) {
      this.#stages = [new HarmonySplitter(tools)];
      return;
    }
    const format = toolFormat(template);
    const tags = thinkTags(template);
    const call = tools ? (format.open === "" ? '{"' : format.open) : undefined;
    this.#stages = [
      ...(tags.length > 0 ? [new ReasoningSplitter(tags, prompt, call)] : []),
      ...(tools ? [new ToolCallSplitter(format)] : []),
    ];
  }

  push(delta: string): AnswerEvent[] {
    return this.#pass([{ type: "text", delta }], 0);
  }

  /** What was held back, when no more text comes. */
  end(): AnswerEvent[] {
    return this.#stages.flatMap((stage, place) => this.#pass(stage.end(), place + 1));
  }

  /** Text goes through all stages from one on; what a stage has recognised passes the others by. */
  #pass(events: readonly AnswerEvent[], from: number): AnswerEvent[] {
    let passed = events.filter((event) => event.type !== "text" || event.delta !== "");
    for (const stage of this.#stages.slice(from)) {
      passed = passed.flatMap((event) => (event.type === "text" ? stage.push(event.delta) : [event]));
    }
    return passed;
  }
}

/**
 * Texts of tokens that carry meaning in answers. Where one is a control token of the vocabulary, which prints as
 * nothing, the engine must print its text for `AnswerParser` to see it.
 */
export function visibleControlTokens(template: string): string[] {
  if (isHarmony(template)) return [...HARMONY_TAGS];
  const format = toolFormat(template);
  const others = format.name === "mistral-args" ? ["[CALL_ID]", format.between] : [];
  const thoughts = thinkTags(template).flatMap(({ open, close }) => [open, close]);
  return [openingTag(format), format.close, ...others, ...thoughts].filter((tag) => tag !== "");
}
