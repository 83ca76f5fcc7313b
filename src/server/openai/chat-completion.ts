import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { FinishReason } from "../../spec/stream.ts";
import type { ToolCall } from "../../spec/tool.ts";
import type { Answer } from "./answer.ts";
import { headFields, type CompletionHead } from "./completion-head.ts";
import { toWireLogprob, wireLogprob, type WireLogprob } from "./logprobs.ts";
import { wireReceipts } from "../wire/receipts.ts";
import { toWireUsage, wireUsage, type WireUsage } from "./usage.ts";

export interface WireCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type WireFinishReason = "stop" | "length" | "tool_calls";

export interface ChatCompletion extends CompletionHead {
  object: "chat.completion";
  choices: {
    index: number;
    message: {
      role: "assistant";
      content: string | null;
      refusal: null;
      annotations: [];
      /** What it thought, under the two names that clients know. */
      reasoning_content?: string;
      reasoning?: string;
      tool_calls?: WireCall[];
    };
    logprobs: { content: WireLogprob[]; refusal: null } | null;
    finish_reason: WireFinishReason;
  }[];
  usage: WireUsage;
  receipts?: MediaReceipt[];
}

/** @param answers at least one, all to the same prompt */
export function chatCompletion(
  head: CompletionHead,
  answers: readonly Answer[],
  withLogprobs: boolean,
): ChatCompletion {
  const receipts = answers[0]!.receipts;
  return {
    ...head,
    object: "chat.completion",
    choices: answers.map((answer, index) => ({
      index,
      message: {
        role: "assistant",
        content: answer.text === "" && answer.toolCalls.length > 0 ? null : answer.text,
        refusal: null,
        annotations: [],
        ...(answer.reasoning === ""
          ? {}
          : { reasoning_content: answer.reasoning, reasoning: answer.reasoning }),
        ...(answer.toolCalls.length === 0 ? {} : { tool_calls: answer.toolCalls.map(toWireCall) }),
      },
      logprobs: withLogprobs ? { content: answer.logprobs.map(toWireLogprob), refusal: null } : null,
      finish_reason: toFinishReason(answer.reason),
    })),
    usage: toWireUsage([answers.map(({ usage }) => usage)]),
    ...(receipts.length === 0 ? {} : { receipts }),
  };
}

export function toWireCall({ id, name, arguments: args }: ToolCall): WireCall {
  return { id, type: "function", function: { name, arguments: JSON.stringify(args) } };
}

export function toFinishReason(reason: FinishReason): WireFinishReason {
  return reason === "tool-calls" ? "tool_calls" : reason;
}

const call = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string().openapi({ description: "JSON text." }) }),
});

export const choiceLogprobs: z.ZodType = z
  .object({ content: z.array(wireLogprob), refusal: z.null() })
  .nullable();

export const chatCompletionSchema: z.ZodType = z
  .object({
    ...headFields,
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({
          role: z.literal("assistant"),
          content: z.string().nullable(),
          refusal: z.null(),
          reasoning_content: z.string().optional().openapi({ description: "What it thought." }),
          reasoning: z.string().optional().openapi({ description: "The same as `reasoning_content`." }),
          tool_calls: z.array(call).optional(),
        }),
        logprobs: choiceLogprobs,
        finish_reason: z.enum(["stop", "length", "tool_calls"]),
      }),
    ),
    usage: wireUsage,
    receipts: wireReceipts.optional(),
  })
  .openapi("ChatCompletion");
