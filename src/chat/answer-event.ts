import type { ToolCall } from "../spec/tool.ts";

/** A piece of an answer, in order. */
export type AnswerEvent =
  | { type: "text"; delta: string }
  | { type: "reasoning"; delta: string }
  | { type: "tool-call"; toolCall: ToolCall };

/** Turns text that comes piece by piece into events; what may be the beginning of a tag waits for the next piece. */
export interface AnswerSplitter {
  push(delta: string): AnswerEvent[];
  /** What was held back, when nothing more comes. */
  end(): AnswerEvent[];
}
