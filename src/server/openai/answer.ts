import type { MediaReceipt } from "../../spec/receipt.ts";
import type { FinishReason, StreamPart, TokenLogprob, Usage } from "../../spec/stream.ts";
import type { ToolCall } from "../../spec/tool.ts";
import type { ChoicePart } from "./choices.ts";

/** A whole answer: what a stream adds up to. */
export interface Answer {
  text: string;
  reasoning: string;
  toolCalls: ToolCall[];
  /** Of the tokens of the text; empty unless asked for. */
  logprobs: TokenLogprob[];
  receipts: MediaReceipt[];
  reason: FinishReason;
  usage: Usage;
}

/** @throws whatever the stream throws */
export async function collectAnswers(parts: AsyncIterable<ChoicePart>, n: number): Promise<Answer[]> {
  const answers = Array.from({ length: n }, emptyAnswer);
  for await (const { index, part } of parts) add(answers[index]!, part);
  return answers;
}

function emptyAnswer(): Answer {
  return {
    text: "",
    reasoning: "",
    toolCalls: [],
    logprobs: [],
    receipts: [],
    reason: "stop",
    usage: { inputTokens: { total: 0, text: 0, image: 0, cached: 0 }, outputTokens: 0 },
  };
}

function add(answer: Answer, part: StreamPart): void {
  switch (part.type) {
    case "media":
      answer.receipts.push(part.receipt);
      break;
    case "reasoning-delta":
      answer.reasoning += part.delta;
      break;
    case "text-delta":
      answer.text += part.delta;
      answer.logprobs.push(...(part.logprobs ?? []));
      break;
    case "tool-call":
      answer.toolCalls.push(part.toolCall);
      break;
    case "finish":
      answer.reason = part.reason;
      answer.usage = part.usage;
      break;
    default:
  }
}
