import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import type { ModelInfo, StreamRequest } from "../../spec/model.ts";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { FinishReason, Timings, TokenLogprob, Usage } from "../../spec/stream.ts";
import type { ToolCall } from "../../spec/tool.ts";
import type { AcquireOptions, CatalogEntry } from "../model-pool.ts";
import { observeStream } from "../observe-stream.ts";
import { countImages, readMediaInput } from "../read-media-input.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { streamFitting } from "./stream-fitting.ts";
import type { ReadImage } from "./wire-message.ts";

/** A piece of an answer. What a model writes one after the other comes in pieces of their own. */
export interface AnswerPiece {
  text: string;
  thinking: string;
  toolCalls: readonly ToolCall[];
  logprobs: readonly TokenLogprob[];
}

export interface AnswerEnd {
  reason: FinishReason;
  usage: Usage;
  timings: Timings;
  loadMs: number;
  receipts: readonly MediaReceipt[];
  /** Messages that did not fit the context. */
  leftOut: number;
}

export type AnswerEvent = ({ type: "piece" } & AnswerPiece) | ({ type: "end" } & AnswerEnd);

export interface Ask {
  entry: CatalogEntry;
  acquire: AcquireOptions;
  /** Pictures of the whole request, for the limit. */
  images: number;
  truncate: boolean | undefined;
  /** Called when it is this request's turn, and before the model is loaded. */
  readMessages: (readImage: ReadImage) => Promise<readonly Message[]>;
  /** What else is asked, now that the model is known. */
  request: (info: ModelInfo) => Omit<StreamRequest, "messages" | "client" | "signal">;
}

const EMPTY: AnswerPiece = { text: "", thinking: "", toolCalls: [], logprobs: [] };

/**
 * Asks a model: takes a place, opens the pictures, loads the model if need be, and streams. Nothing happens before the
 * first event is asked for; place and model are given back whatever happens.
 */
export async function* answerEvents(
  c: RequestContext,
  context: ServerContext,
  ask: Ask,
): AsyncGenerator<AnswerEvent> {
  const { client, signal } = c.var;
  countImages(ask.images, context);
  const leave = context.admission.enter(client, ask.entry.name);
  try {
    const messages = await ask.readMessages((image, where) =>
      readMediaInput(image, where, { context, client, signal }),
    );
    const lease = await context.models.acquire(ask.entry.name, { ...ask.acquire, signal });
    try {
      const { model, loadMs } = lease;
      const request = { ...ask.request(model.info), messages, client, signal };
      const fitting = streamFitting(model, request, ask.truncate);
      const receipts: MediaReceipt[] = [];
      for await (const part of observeStream(context.metrics, ask.entry.name, fitting.parts)) {
        if (part.type === "text-delta") {
          yield { ...EMPTY, type: "piece", text: part.delta, logprobs: part.logprobs ?? [] };
        } else if (part.type === "reasoning-delta") yield { ...EMPTY, type: "piece", thinking: part.delta };
        else if (part.type === "tool-call") yield { ...EMPTY, type: "piece", toolCalls: [part.toolCall] };
        else if (part.type === "media") receipts.push(part.receipt);
        else if (part.type === "error") throw MullError.from(part.error);
        else if (part.type === "finish") {
          const { reason, usage, timings } = part;
          yield { type: "end", reason, usage, timings, loadMs, receipts, leftOut: fitting.leftOut };
        }
      }
    } finally {
      lease.release();
    }
  } finally {
    leave();
  }
}

/** The whole answer as one piece, and its end. */
export async function wholeAnswer(
  events: AsyncIterable<AnswerEvent>,
): Promise<{ piece: AnswerPiece; end: AnswerEnd }> {
  let text = "";
  let thinking = "";
  const toolCalls: ToolCall[] = [];
  const logprobs: TokenLogprob[] = [];
  let end: AnswerEnd | undefined;
  for await (const event of events) {
    if (event.type === "end") end = event;
    else {
      text += event.text;
      thinking += event.thinking;
      toolCalls.push(...event.toolCalls);
      logprobs.push(...event.logprobs);
    }
  }
  if (end === undefined) throw new MullError("internal", "A model stopped without an end.");
  return { piece: { text, thinking, toolCalls, logprobs }, end };
}
