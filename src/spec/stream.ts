import type { SerializedError } from "./errors.ts";
import type { MediaReceipt } from "./receipt.ts";

/**
 * What comes out, in order: progress while the model loads, pictures are decoded and encoded and the prompt
 * is read; one `media` per attachment; the text; then exactly one `finish`, or a thrown `MullError`.
 * (`error` parts exist for wire formats, where nothing can be thrown.)
 */
export type StreamPart =
  | ProgressPart
  | { type: "media"; receipt: MediaReceipt }
  | { type: "text-start"; id: string }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "text-end"; id: string }
  | { type: "finish"; reason: FinishReason; usage: Usage; timings: Timings }
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

/** `stop`: the model ended or a stop string was met. `length`: `maxTokens` or the context was reached. */
export type FinishReason = "stop" | "length";

export interface Usage {
  inputTokens: {
    total: number;
    text: number;
    image: number;
    /** Of the total, how many were already in the KV cache and cost nothing. */
    cached: number;
  };
  outputTokens: number;
}

/** Wall-clock milliseconds of each phase of one request. `load` is 0 when the model was already there. */
export interface Timings {
  loadMs: number;
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
