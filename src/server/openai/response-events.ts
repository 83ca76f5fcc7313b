import { z } from "@hono/zod-openapi";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { StreamPart, TokenLogprob } from "../../spec/stream.ts";
import type { ToolCall } from "../../spec/tool.ts";
import { toWireLogprob } from "./logprobs.ts";
import {
  toResponseUsage,
  type ItemStatus,
  type OutputItem,
  type OutputText,
  type ResponseHead,
  type ResponseObject,
  type SummaryText,
} from "./response-object.ts";

export interface ResponseEvent {
  type: string;
  /** From 0, without gaps. */
  sequence_number: number;
  [field: string]: unknown;
}

/** An item whose text is still growing. */
type Growing =
  | { kind: "message"; id: string; text: string; logprobs: TokenLogprob[] }
  | { kind: "reasoning"; id: string; text: string };

/**
 * The parts of an answer → events of the responses API, and the response that they add up to. The first events come
 * with the first part that is part of the answer, so that what fails before can be answered with a status of its own.
 */
export class ResponseEvents {
  readonly #head: ResponseHead;
  readonly #receipts: MediaReceipt[] = [];
  readonly #output: OutputItem[] = [];
  #state: Pick<ResponseObject, "status" | "error" | "incomplete_details" | "usage"> = {
    status: "in_progress",
    error: null,
    incomplete_details: null,
    usage: null,
  };
  #growing: Growing | undefined;
  #begun = false;
  #sequence = 0;

  constructor(head: ResponseHead) {
    this.#head = head;
  }

  /** A snapshot. */
  get response(): ResponseObject {
    return {
      ...this.#head,
      ...this.#state,
      output: [...this.#output],
      ...(this.#receipts.length === 0 ? {} : { receipts: this.#receipts }),
    };
  }

  push(part: StreamPart): ResponseEvent[] {
    switch (part.type) {
      case "media":
        this.#receipts.push(part.receipt);
        return [];
      case "reasoning-delta":
        return [...this.#begin(), ...this.#grow("reasoning"), ...this.#think(part.delta)];
      case "text-delta":
        return [...this.#begin(), ...this.#grow("message"), ...this.#say(part.delta, part.logprobs ?? [])];
      case "tool-call":
        return [...this.#begin(), ...this.#settle("completed"), ...this.#call(part.toolCall)];
      case "finish": {
        const isCut = part.reason === "length";
        const events = [...this.#begin(), ...this.#settle(isCut ? "incomplete" : "completed")];
        this.#state = {
          status: isCut ? "incomplete" : "completed",
          error: null,
          incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
          usage: toResponseUsage(part.usage),
        };
        return [...events, this.#event(`response.${this.#state.status}`, { response: this.response })];
      }
      default:
        return [];
    }
  }

  /** The event that ends a response which fails after its first events. */
  fail(error: { code: string; message: string }): ResponseEvent {
    this.#state = { ...this.#state, status: "failed", error };
    return this.#event("response.failed", { response: this.response });
  }

  #begin(): ResponseEvent[] {
    if (this.#begun) return [];
    this.#begun = true;
    const { response } = this;
    return [this.#event("response.created", { response }), this.#event("response.in_progress", { response })];
  }

  /** Makes sure that an item of this kind is growing. */
  #grow(kind: Growing["kind"]): ResponseEvent[] {
    if (this.#growing?.kind === kind) return [];
    const events = this.#settle("completed");
    const place = { output_index: this.#output.length };
    if (kind === "message") {
      const id = this.#newId("msg");
      this.#growing = { kind, id, text: "", logprobs: [] };
      const item = { type: "message", id, status: "in_progress", role: "assistant", content: [] };
      events.push(
        this.#event("response.output_item.added", { ...place, item }),
        this.#event("response.content_part.added", {
          ...place,
          item_id: id,
          content_index: 0,
          part: outputText("", []),
        }),
      );
    } else {
      const id = this.#newId("rs");
      this.#growing = { kind, id, text: "" };
      const item = { type: "reasoning", id, status: "in_progress", summary: [] };
      events.push(
        this.#event("response.output_item.added", { ...place, item }),
        this.#event("response.reasoning_summary_part.added", {
          ...place,
          item_id: id,
          summary_index: 0,
          part: summaryText(""),
        }),
      );
    }
    return events;
  }

  #say(delta: string, logprobs: readonly TokenLogprob[]): ResponseEvent[] {
    const item = this.#growing as Extract<Growing, { kind: "message" }>;
    item.text += delta;
    item.logprobs.push(...logprobs);
    const place = { item_id: item.id, output_index: this.#output.length, content_index: 0 };
    return [
      this.#event("response.output_text.delta", { ...place, delta, logprobs: logprobs.map(toWireLogprob) }),
    ];
  }

  #think(delta: string): ResponseEvent[] {
    const item = this.#growing!;
    item.text += delta;
    const place = { item_id: item.id, output_index: this.#output.length, summary_index: 0 };
    return [this.#event("response.reasoning_summary_text.delta", { ...place, delta })];
  }

  /** Ends the item that is growing, if one is. */
  #settle(status: ItemStatus): ResponseEvent[] {
    const growing = this.#growing;
    if (growing === undefined) return [];
    this.#growing = undefined;
    const { id, text } = growing;
    const output_index = this.#output.length;
    if (growing.kind === "message") {
      const part = outputText(text, growing.logprobs);
      const item: OutputItem = { type: "message", id, status, role: "assistant", content: [part] };
      this.#output.push(item);
      const place = { item_id: id, output_index, content_index: 0 };
      return [
        this.#event("response.output_text.done", { ...place, text, logprobs: part.logprobs }),
        this.#event("response.content_part.done", { ...place, part }),
        this.#event("response.output_item.done", { output_index, item }),
      ];
    }
    const part = summaryText(text);
    const item: OutputItem = { type: "reasoning", id, status, summary: [part] };
    this.#output.push(item);
    const place = { item_id: id, output_index, summary_index: 0 };
    return [
      this.#event("response.reasoning_summary_text.done", { ...place, text }),
      this.#event("response.reasoning_summary_part.done", { ...place, part }),
      this.#event("response.output_item.done", { output_index, item }),
    ];
  }

  #call({ id: call_id, name, arguments: values }: ToolCall): ResponseEvent[] {
    const text = JSON.stringify(values);
    const output_index = this.#output.length;
    const id = this.#newId("fc");
    const item: OutputItem = {
      type: "function_call",
      id,
      call_id,
      name,
      arguments: text,
      status: "completed",
    };
    this.#output.push(item);
    const place = { item_id: id, output_index };
    return [
      this.#event("response.output_item.added", {
        output_index,
        item: { ...item, arguments: "", status: "in_progress" },
      }),
      this.#event("response.function_call_arguments.delta", { ...place, delta: text }),
      this.#event("response.function_call_arguments.done", { ...place, name, arguments: text }),
      this.#event("response.output_item.done", { output_index, item }),
    ];
  }

  #event(type: string, fields: Record<string, unknown>): ResponseEvent {
    return { type, sequence_number: this.#sequence++, ...fields };
  }

  /** Unique because the id of the response is. */
  #newId(prefix: string): string {
    return `${prefix}_${this.#head.id.replace(/^resp_/, "")}${this.#output.length}`;
  }
}

function outputText(text: string, logprobs: readonly TokenLogprob[]): OutputText {
  return { type: "output_text", text, annotations: [], logprobs: logprobs.map(toWireLogprob) };
}

function summaryText(text: string): SummaryText {
  return { type: "summary_text", text };
}

export const responseEvent: z.ZodType = z
  .looseObject({
    type: z.string().openapi({ example: "response.output_text.delta" }),
    sequence_number: z.int(),
  })
  .openapi("OpenAIResponseStreamEvent", {
    description:
      "response.created, response.in_progress; per item response.output_item.added, its parts and deltas, " +
      "response.output_item.done; at last response.completed, response.incomplete or response.failed.",
  });
