import type {
  JSONObject,
  LanguageModelV3Content,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
} from "@ai-sdk/provider";
import { MullError } from "../spec/errors.ts";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { StreamPart, Timings, TokenLogprob, Usage } from "../spec/stream.ts";
import type { ToolCall } from "../spec/tool.ts";

/** What `providerMetadata.mull` of an answer holds. */
export interface MullAnswerMetadata {
  /** What the model saw of each picture, in order. */
  receipts: readonly MediaReceipt[];
  timings: Timings;
  /** Which of `stopSequences` was met, if one was. */
  stopString?: string;
  /** Of all tokens of the text, when `providerOptions.mull.logprobs` asked for them. */
  logprobs?: readonly TokenLogprob[];
}

/** An answer of mull in the SDK's parts. @param raw whether every part of mull is passed on as well, as it is */
export async function* toStreamParts(
  parts: AsyncIterable<StreamPart>,
  raw: boolean,
): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
  const receipts: MediaReceipt[] = [];
  const logprobs: TokenLogprob[] = [];
  let said = false;
  for await (const part of parts) {
    if (raw) yield { type: "raw", rawValue: part };
    switch (part.type) {
      case "progress":
        break;
      case "media":
        receipts.push(part.receipt);
        break;
      case "text-delta":
        if (part.logprobs !== undefined) logprobs.push(...part.logprobs);
        yield* textDelta(part.id, said ? part.delta : part.delta.trimStart());
        said ||= part.delta.trim() !== "";
        break;
      case "tool-call":
        yield* toolCallParts(part.toolCall);
        break;
      case "finish": {
        const metadata: MullAnswerMetadata = {
          receipts,
          timings: part.timings,
          ...(part.stopString === undefined ? {} : { stopString: part.stopString }),
          ...(logprobs.length === 0 ? {} : { logprobs }),
        };
        yield {
          type: "finish",
          // mull's three reasons are three of the SDK's.
          finishReason: { unified: part.reason, raw: part.reason },
          usage: toUsage(part.usage),
          providerMetadata: { mull: asJson(metadata) },
        };
        break;
      }
      case "error":
        throw MullError.from(part.error);
      default:
        yield part;
    }
  }
}

/** After many templates an answer begins with a blank, which is no part of it: `Model.ask` drops it too. */
function* textDelta(id: string, delta: string): Generator<LanguageModelV3StreamPart> {
  if (delta !== "") yield { type: "text-delta", id, delta };
}

/** A call arrives whole, and is told as if it had been typed: some users of the SDK show only what is typed. */
function* toolCallParts({ id, name, arguments: input }: ToolCall): Generator<LanguageModelV3StreamPart> {
  const text = JSON.stringify(input);
  yield { type: "tool-input-start", id, toolName: name };
  yield { type: "tool-input-delta", id, delta: text };
  yield { type: "tool-input-end", id };
  yield { type: "tool-call", toolCallId: id, toolName: name, input: text };
}

function toUsage(usage: Usage): LanguageModelV3Usage {
  const { inputTokens, outputTokens, reasoningTokens = 0 } = usage;
  return {
    inputTokens: {
      total: inputTokens.total,
      noCache: inputTokens.total - inputTokens.cached,
      cacheRead: inputTokens.cached,
      cacheWrite: undefined,
    },
    outputTokens: { total: outputTokens, text: outputTokens - reasoningTokens, reasoning: reasoningTokens },
    raw: asJson(usage),
  };
}

function asJson(value: object): JSONObject {
  return value as JSONObject;
}

/** An answer as one value instead of parts. @throws MullError `internal` when the parts end without `finish` */
export async function collectParts(
  parts: AsyncIterable<LanguageModelV3StreamPart>,
): Promise<Pick<LanguageModelV3GenerateResult, "content" | "finishReason" | "usage" | "providerMetadata">> {
  const content: LanguageModelV3Content[] = [];
  const open = new Map<string, Extract<LanguageModelV3Content, { type: "text" | "reasoning" }>>();
  for await (const part of parts) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start": {
        const block = { type: part.type === "text-start" ? "text" : "reasoning", text: "" } as const;
        content.push(block);
        open.set(part.id, block);
        break;
      }
      case "text-delta":
      case "reasoning-delta":
        open.get(part.id)!.text += part.delta;
        break;
      case "tool-call":
        content.push(part);
        break;
      case "finish": {
        const { type: _, ...end } = part;
        return { content, ...end };
      }
    }
  }
  throw new MullError("internal", "An answer ended before it was complete.");
}
