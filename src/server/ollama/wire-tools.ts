import { z } from "@hono/zod-openapi";
import type { Tool, ToolCall } from "../../spec/tool.ts";
import type { Nullish } from "./nullish.ts";

export interface WireTool extends Nullish<{ type: string }> {
  function: { name: string } & Nullish<{ description: string; parameters: Record<string, unknown> }>;
}

/** A call as assistants' messages hold it, both ways. */
export interface WireToolCall extends Nullish<{ id: string }> {
  function: { name: string } & Nullish<{ index: number; arguments: Record<string, unknown> }>;
}

export const wireTool: z.ZodType<WireTool> = z
  .object({
    type: z.literal("function", { error: 'only tools of type "function" are supported' }).nullish(),
    function: z.object({
      name: z
        .string()
        .regex(/^[\w.-]{1,64}$/, "expected letters, digits, _, - and . only, at most 64")
        .openapi({ description: "Letters, digits, `_`, `-`, `.`; at most 64." }),
      description: z.string().nullish(),
      parameters: z.record(z.string(), z.unknown()).nullish().openapi({
        type: "object",
        description: "JSON Schema of its arguments, of type object.",
      }),
    }),
  })
  .openapi("OllamaTool");

export const wireToolCall: z.ZodType<WireToolCall> = z
  .object({
    id: z.string().nullish(),
    function: z.object({
      index: z.int().nullish(),
      name: z.string(),
      arguments: z.record(z.string(), z.unknown()).nullish().openapi({ type: "object" }),
    }),
  })
  .openapi("OllamaToolCall");

export function toTool({ function: { name, description, parameters } }: WireTool): Tool {
  return {
    name,
    ...(description == null ? {} : { description }),
    ...(parameters == null ? {} : { parameters }),
  };
}

export function toWireToolCall({ id, name, arguments: given }: ToolCall, index: number): WireToolCall {
  return { id, function: { index, name, arguments: given } };
}

/**
 * The calls of a conversation that wait for an answer. Many clients send answers without saying to what: those of a
 * turn then belong to its calls in order.
 */
export class OpenCalls {
  #calls: ToolCall[] = [];
  #count = 0;

  /** A new turn of the assistant: what it calls, with ids where the client gave none. */
  begin(calls: readonly WireToolCall[]): ToolCall[] {
    this.#calls = calls.map(({ id, function: { name, arguments: given } }) => ({
      id: id != null && id !== "" ? id : `call_${(this.#count += 1)}`,
      name,
      arguments: given ?? {},
    }));
    return [...this.#calls];
  }

  /** Fields of the message of role `tool` that answers one of them. */
  answer(id: string | undefined, name: string | undefined): { toolCallId?: string; toolName?: string } {
    const place = this.#calls.findIndex((call) =>
      id === undefined ? name === undefined || call.name === name : call.id === id,
    );
    const [call] = place < 0 ? [] : this.#calls.splice(place, 1);
    const toolCallId = id ?? call?.id;
    const toolName = name ?? call?.name;
    return {
      ...(toolCallId === undefined ? {} : { toolCallId }),
      ...(toolName === undefined ? {} : { toolName }),
    };
  }
}
