import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { StreamPart, Usage } from "../../spec/stream.ts";
import {
  choiceLogprobs,
  toFinishReason,
  toWireCall,
  type WireCall,
  type WireFinishReason,
} from "./chat-completion.ts";
import { headFields, type CompletionHead } from "./completion-head.ts";
import { toWireLogprob, type WireLogprob } from "./logprobs.ts";
import { wireReceipts } from "../wire/receipts.ts";
import { toWireUsage, wireUsage, type WireUsage } from "./usage.ts";

interface Delta {
  role?: "assistant";
  content?: string;
  refusal?: null;
  reasoning_content?: string;
  reasoning?: string;
  tool_calls?: (WireCall & { index: number })[];
}

export interface ChatChunk extends CompletionHead {
  object: "chat.completion.chunk";
  choices: {
    index: number;
    delta: Delta;
    logprobs: { content: WireLogprob[]; refusal: null } | null;
    finish_reason: WireFinishReason | null;
  }[];
  /** Only when asked for: null in every chunk but the last, which has no choices. */
  usage?: WireUsage | null;
  /** In the first chunk of the first choice. */
  receipts?: MediaReceipt[];
}

/** The parts of one or several answers → chunks. `push` for each part, `end` after the last. */
export class ChatChunks {
  readonly #head: CompletionHead;
  readonly #includeUsage: boolean;
  readonly #begun = new Set<number>();
  /** Tool calls so far, by choice. */
  readonly #calls = new Map<number, number>();
  readonly #usages = new Map<number, Usage>();
  readonly #receipts: MediaReceipt[] = [];

  constructor(head: CompletionHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  push(index: number, part: StreamPart): ChatChunk[] {
    switch (part.type) {
      case "media":
        if (index === 0) this.#receipts.push(part.receipt);
        return [];
      case "reasoning-delta":
        return this.#delta(index, { reasoning_content: part.delta, reasoning: part.delta });
      case "text-delta":
        return this.#delta(index, { content: part.delta }, part.logprobs?.map(toWireLogprob));
      case "tool-call": {
        const at = this.#calls.get(index) ?? 0;
        this.#calls.set(index, at + 1);
        return this.#delta(index, { tool_calls: [{ index: at, ...toWireCall(part.toolCall) }] });
      }
      case "finish":
        this.#usages.set(index, part.usage);
        return [...this.#begin(index), this.#chunk(index, {}, { reason: toFinishReason(part.reason) })];
      default:
        return [];
    }
  }

  end(): ChatChunk[] {
    if (!this.#includeUsage) return [];
    const usages = [...this.#usages.entries()].sort(([a], [b]) => a - b).map(([, usage]) => usage);
    return [{ ...this.#head, object: "chat.completion.chunk", choices: [], usage: toWireUsage([usages]) }];
  }

  #delta(index: number, delta: Delta, logprobs?: WireLogprob[]): ChatChunk[] {
    return [...this.#begin(index), this.#chunk(index, delta, logprobs === undefined ? {} : { logprobs })];
  }

  /** The chunk with the role, which comes once and before all others of a choice. */
  #begin(index: number): ChatChunk[] {
    if (this.#begun.has(index)) return [];
    this.#begun.add(index);
    const chunk = this.#chunk(index, { role: "assistant", content: "", refusal: null }, {});
    return [index === 0 && this.#receipts.length > 0 ? { ...chunk, receipts: this.#receipts } : chunk];
  }

  #chunk(
    index: number,
    delta: Delta,
    { logprobs, reason }: { logprobs?: WireLogprob[]; reason?: WireFinishReason },
  ): ChatChunk {
    return {
      ...this.#head,
      object: "chat.completion.chunk",
      choices: [
        {
          index,
          delta,
          logprobs: logprobs === undefined ? null : { content: logprobs, refusal: null },
          finish_reason: reason ?? null,
        },
      ],
      ...(this.#includeUsage ? { usage: null } : {}),
    };
  }
}

export const chatChunkSchema: z.ZodType = z
  .object({
    ...headFields,
    object: z.literal("chat.completion.chunk"),
    choices: z.array(
      z.object({
        index: z.int(),
        delta: z.object({
          role: z.literal("assistant").optional(),
          content: z.string().optional(),
          reasoning_content: z.string().optional(),
          reasoning: z.string().optional(),
          tool_calls: z
            .array(
              z.object({
                index: z.int(),
                id: z.string(),
                type: z.literal("function"),
                function: z.object({ name: z.string(), arguments: z.string() }),
              }),
            )
            .optional(),
        }),
        logprobs: choiceLogprobs,
        finish_reason: z.enum(["stop", "length", "tool_calls"]).nullable(),
      }),
    ),
    usage: wireUsage.nullish(),
    receipts: wireReceipts.optional(),
  })
  .openapi("ChatCompletionChunk");
