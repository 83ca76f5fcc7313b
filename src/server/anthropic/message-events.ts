import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { FinishReason, StreamPart, Usage } from "../../spec/stream.ts";
import { wireReceipts } from "../wire/receipts.ts";

export type ContentBlock =
  | { type: "text"; text: string; citations: null }
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "tool_use"; id: string; name: string; input: Readonly<Record<string, unknown>> };

export type StopReason = "end_turn" | "max_tokens" | "stop_sequence" | "tool_use";

export interface MessageUsage {
  /** Without those that were cached. */
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  output_tokens: number;
  output_tokens_details: { thinking_tokens: number };
}

/** Answer of `POST /v1/messages`. */
export interface WireAnswer {
  id: string;
  type: "message";
  role: "assistant";
  model: string;
  content: ContentBlock[];
  stop_reason: StopReason | null;
  stop_sequence: string | null;
  usage: MessageUsage;
  receipts?: MediaReceipt[];
}

export interface MessageEvent {
  type: string;
  [field: string]: unknown;
}

/**
 * The parts of an answer → events of the messages API, and the message that they add up to. The first event comes
 * with the first part that is part of the answer, so that what fails before can be answered with a status of its own.
 */
export class MessageEvents {
  readonly #head: { id: string; model: string };
  readonly #receipts: MediaReceipt[] = [];
  /** The last one grows until `#isOpen` is false. */
  readonly #content: ContentBlock[] = [];
  #isOpen = false;
  #begun = false;
  #stop: Pick<WireAnswer, "stop_reason" | "stop_sequence"> = { stop_reason: null, stop_sequence: null };
  #usage: MessageUsage = toMessageUsage();

  constructor(head: { id: string; model: string }) {
    this.#head = head;
  }

  /** A snapshot. */
  get message(): WireAnswer {
    return {
      id: this.#head.id,
      type: "message",
      role: "assistant",
      model: this.#head.model,
      content: this.#content.map((block) => ({ ...block })),
      ...this.#stop,
      usage: this.#usage,
      ...(this.#receipts.length === 0 ? {} : { receipts: this.#receipts }),
    };
  }

  push(part: StreamPart): MessageEvent[] {
    switch (part.type) {
      case "media":
        this.#receipts.push(part.receipt);
        return [];
      case "reasoning-delta":
        return [...this.#begin(), ...this.#think(part.delta)];
      case "text-delta":
        return [...this.#begin(), ...this.#say(part.delta)];
      case "tool-call": {
        const { id, name, arguments: input } = part.toolCall;
        const events = [...this.#begin(), ...this.#open({ type: "tool_use", id, name, input: {} })];
        events.push(this.#delta({ type: "input_json_delta", partial_json: JSON.stringify(input) }));
        this.#content[this.#content.length - 1] = { type: "tool_use", id, name, input };
        return [...events, ...this.#close()];
      }
      case "finish":
        return [...this.#begin(), ...this.#close(), ...this.#finish(part)];
      default:
        return [];
    }
  }

  /** How many tokens the prompt has is known at the end only: `message_delta` says it. */
  #begin(): MessageEvent[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [{ type: "message_start", message: this.message }];
  }

  #say(text: string): MessageEvent[] {
    if (text === "") return [];
    const last = this.#content.at(-1);
    if (this.#isOpen && last?.type === "text") {
      last.text += text;
      return [this.#delta({ type: "text_delta", text })];
    }
    const events = this.#open({ type: "text", text: "", citations: null });
    return [...events, ...this.#say(text)];
  }

  #think(thinking: string): MessageEvent[] {
    if (thinking === "") return [];
    const last = this.#content.at(-1);
    if (this.#isOpen && last?.type === "thinking") {
      last.thinking += thinking;
      return [this.#delta({ type: "thinking_delta", thinking })];
    }
    const events = this.#open({ type: "thinking", thinking: "", signature: "" });
    return [...events, ...this.#think(thinking)];
  }

  #open(block: ContentBlock): MessageEvent[] {
    const events = this.#close();
    this.#content.push(block);
    this.#isOpen = true;
    const index = this.#content.length - 1;
    return [...events, { type: "content_block_start", index, content_block: { ...block } }];
  }

  #delta(delta: Record<string, unknown>): MessageEvent {
    return { type: "content_block_delta", index: this.#content.length - 1, delta };
  }

  #close(): MessageEvent[] {
    if (!this.#isOpen) return [];
    this.#isOpen = false;
    return [{ type: "content_block_stop", index: this.#content.length - 1 }];
  }

  #finish({ reason, usage, stopString }: Extract<StreamPart, { type: "finish" }>): MessageEvent[] {
    this.#stop = {
      stop_reason: stopString === undefined ? STOP_REASONS[reason] : "stop_sequence",
      stop_sequence: stopString ?? null,
    };
    this.#usage = toMessageUsage(usage);
    return [
      { type: "message_delta", delta: { ...this.#stop }, usage: this.#usage },
      { type: "message_stop" },
    ];
  }
}

const STOP_REASONS: Record<FinishReason, StopReason> = {
  stop: "end_turn",
  length: "max_tokens",
  "tool-calls": "tool_use",
};

function toMessageUsage(usage?: Usage): MessageUsage {
  const { total, cached } = usage?.inputTokens ?? { total: 0, cached: 0 };
  return {
    input_tokens: total - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: usage?.outputTokens ?? 0,
    output_tokens_details: { thinking_tokens: usage?.reasoningTokens ?? 0 },
  };
}

const contentBlock = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string(), citations: z.null() }),
  z.object({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.object({
    type: z.literal("tool_use"),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
]);

export const messageSchema: z.ZodType = z
  .object({
    id: z.string(),
    type: z.literal("message"),
    role: z.literal("assistant"),
    model: z.string(),
    content: z.array(contentBlock),
    stop_reason: z.enum(["end_turn", "max_tokens", "stop_sequence", "tool_use"]).nullable(),
    stop_sequence: z.string().nullable(),
    usage: z.object({
      input_tokens: z.int().openapi({ description: "Without those that were cached." }),
      cache_creation_input_tokens: z.int(),
      cache_read_input_tokens: z.int(),
      output_tokens: z.int(),
      output_tokens_details: z.object({ thinking_tokens: z.int() }),
    }),
    receipts: wireReceipts.optional(),
  })
  .openapi("AnthropicMessage");

export const messageEvent: z.ZodType = z
  .looseObject({ type: z.string().openapi({ example: "content_block_delta" }) })
  .openapi("AnthropicMessageStreamEvent", {
    description:
      "message_start; per block content_block_start, content_block_delta, content_block_stop; " +
      "at last message_delta and message_stop.",
  });
