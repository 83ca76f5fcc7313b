import type { SerializedError } from "./errors.ts";
import type { MediaReceipt } from "./receipt.ts";
import type { ToolCall } from "./tool.ts";

/**
 * What comes out, in order: progress while the model loads, pictures are decoded and encoded and the prompt
 * is read; one `media` per attachment; reasoning, text and tool calls; then exactly one `finish`, or a thrown `MullError`.
 * (`error` parts exist for wire formats, where nothing can be thrown.)
 */
export type StreamPart =
  | ProgressPart
  | { type: "media"; receipt: MediaReceipt }
  | { type: "reasoning-start"; id: string }
  | { type: "reasoning-delta"; id: string; delta: string }
  | { type: "reasoning-end"; id: string }
  | { type: "text-start"; id: string }
  /** `logprobs` only when asked for: of the tokens that made this text, in order. */
  | { type: "text-delta"; id: string; delta: string; logprobs?: readonly TokenLogprob[] }
  | { type: "text-end"; id: string }
  | { type: "tool-call"; toolCall: ToolCall }
  /** `stopString`: which of the request's stop strings was met, if one was. */
  | { type: "finish"; reason: FinishReason; usage: Usage; timings: Timings; stopString?: string }
  | { type: "error"; error: SerializedError };

/**
 * `load` counts bytes of weights, `decode` and `encode` count attachments, `prefill` counts tokens.
 * `total` is known from the first event of a stage on.
 */
export interface ProgressPart {
  type: "progress";
  stage: "load" | "decode" | "encode" | "prefill";
  completed: number;
  total: number;
}

/** How likely the model found a token before any penalty, temperature or grammar. */
export interface TokenLogprob {
  /** Its text; bytes that are not whole characters print as U+FFFD. */
  token: string;
  /** UTF-8 bytes of its text. */
  bytes: readonly number[];
  /** Natural logarithm of its probability. */
  logprob: number;
  /** The most likely tokens at this place, most likely first, as many as were asked for. */
  top: readonly Omit<TokenLogprob, "top">[];
}

/**
 * `stop`: the model ended or a stop string was met. `length`: `maxTokens` or the context was reached.
 * `tool-calls`: it ended after calling tools.
 */
export type FinishReason = "stop" | "length" | "tool-calls";

export interface Usage {
  inputTokens: {
    total: number;
    text: number;
    image: number;
    /** Of the total, how many were already in the KV cache and cost nothing. */
    cached: number;
  };
  outputTokens: number;
  /** Of the output tokens, how many were thought before the answer. Default 0. */
  reasoningTokens?: number;
}

/** Wall-clock milliseconds of each phase of one request. `load` is 0 when the model was already there. */
export interface Timings {
  loadMs: number;
  /** Waiting for a place among the requests that the engine works on. */
  queueMs: number;
  /** Finding what the caches know of the prompt, and taking it over. */
  restoreMs: number;
  /** Media process: bytes to pixels. */
  decodeMs: number;
  /** Preprocessing, encoder and projector. */
  encodeMs: number;
  prefillMs: number;
  generateMs: number;
  /** From the request until the first text delta. */
  firstTokenMs: number;
  totalMs: number;
}
