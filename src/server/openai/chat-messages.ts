import { z } from "@hono/zod-openapi";
import { mediaInput } from "../route-module.ts";
import { unknownKind } from "../wire/unknown-kind.ts";
import { toolName, type Nullish, type WireImage } from "../wire/wire-schemas.ts";
import { budgetFields, type WireBudget } from "./image-part.ts";

export interface WireImageUrl extends WireBudget {
  url: WireImage;
}

export type WirePart =
  | { type: "text"; text: string }
  | { type: "refusal"; refusal: string }
  | { type: "image_url"; image_url: WireImage | WireImageUrl };

export interface WireToolCall {
  id: string;
  type?: "function" | undefined;
  function: { name: string; arguments: string | Record<string, unknown> };
}

/** A message of the chat completions API. */
export type WireMessage =
  | { role: "system" | "developer" | "user"; content: string | WirePart[] }
  | ({ role: "assistant" } & Nullish<{
      content: string | WirePart[];
      refusal: string;
      tool_calls: WireToolCall[];
      reasoning_content: string;
      reasoning: string;
    }>)
  | { role: "tool"; tool_call_id: string; content: string | WirePart[] };

const imageUrl: z.ZodType<WireImageUrl> = z.object({ url: mediaInput, ...budgetFields });

const part: z.ZodType<WirePart> = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text"), text: z.string() }),
    z.object({ type: z.literal("image_url"), image_url: z.union([mediaInput, imageUrl]) }),
    z.object({ type: z.literal("refusal"), refusal: z.string() }),
  ],
  { error: unknownKind("parts of type", "type", '"text" and "image_url"') },
);

const content: z.ZodType<string | WirePart[]> = z
  .union([z.string(), z.array(part)])
  .openapi({ description: "Text, or parts in reading order: text and any number of pictures." });

const toolCall: z.ZodType<WireToolCall> = z.object({
  id: z.string(),
  type: z.literal("function").optional(),
  function: z.object({
    name: toolName,
    arguments: z.union([z.string(), z.record(z.string(), z.unknown())]).openapi({
      type: "string",
      description: "JSON text.",
    }),
  }),
});

export const wireMessage: z.ZodType<WireMessage> = z.discriminatedUnion(
  "role",
  [
    z.object({ role: z.enum(["system", "developer", "user"]), content }),
    z.object({
      role: z.literal("assistant"),
      content: content.nullish(),
      refusal: z.string().nullish(),
      tool_calls: z.array(toolCall).nullish(),
      reasoning_content: z.string().nullish().openapi({ description: "What it thought in that turn." }),
      reasoning: z.string().nullish().openapi({ description: "Another name of `reasoning_content`." }),
    }),
    z.object({ role: z.literal("tool"), tool_call_id: z.string(), content }),
  ],
  { error: unknownKind("messages of role", "role", "system, developer, user, assistant and tool") },
);
