import type { ToolCall } from "../spec/tool.ts";
export type AnswerEvent =
  | { type: "text" | "reasoning"; delta: string }
  | { type: "tool-call"; toolCall: ToolCall };
export class AnswerParser {
  constructor(_: object) {}
  push(delta: string): AnswerEvent[] {
    return delta === "" ? [] : [{ type: "text", delta }];
  }
  end(): AnswerEvent[] {
    return [];
  }
}
export function visibleControlTokens(_: string): string[] {
  return [];
}
