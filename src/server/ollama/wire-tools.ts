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
 * Calls of an assistant's message, with ids where the client gave none, as few do.
 *
 * @param turn place of the message in the conversation
 */
export function toToolCalls(calls: readonly WireToolCall[], turn: number): ToolCall[] {
  return calls.map(({ id, function: { name, arguments: given } }, index) => ({
    id: id != null && id !== "" ? id : `call_${turn}_${index}`,
    name,
    arguments: given ?? {},
  }));
}
