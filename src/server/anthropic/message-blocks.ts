import { z } from "@hono/zod-openapi";
import { mediaInput } from "../route-module.ts";
import { unknownKind } from "../wire/unknown-kind.ts";
import { toolName, uploadedFile, type WireImage } from "../wire/wire-schemas.ts";

export interface WireTextBlock {
  type: "text";
  text: string;
}

export interface WireImageBlock {
  type: "image";
  source:
    | { type: "base64"; data: WireImage }
    | { type: "url"; url: WireImage }
    | { type: "file"; file_id: string };
}

/** One block of a message's content. */
export type WireBlock =
  | WireTextBlock
  | WireImageBlock
  | { type: "tool_use"; id: string; name: string; input: Record<string, unknown> }
  | {
      type: "tool_result";
      tool_use_id: string;
      content?: string | (WireTextBlock | WireImageBlock)[] | undefined;
    }
  | { type: "thinking"; thinking: string }
  | { type: "redacted_thinking" };

export interface WireMessage {
  role: "user" | "assistant" | "system";
  content: string | WireBlock[];
}

const textBlock = z.object({ type: z.literal("text"), text: z.string() });

const imageBlock = z.object({
  type: z.literal("image"),
  source: z.discriminatedUnion(
    "type",
    [
      z.object({ type: z.literal("base64"), data: mediaInput, media_type: z.string().optional() }),
      z.object({ type: z.literal("url"), url: mediaInput }),
      z.object({ type: z.literal("file"), file_id: uploadedFile }),
    ],
    { error: unknownKind("pictures of type", "type", '"base64", "url" and "file"') },
  ),
});

export const textBlocks: z.ZodType<string | WireTextBlock[]> = z.union([z.string(), z.array(textBlock)]);

const toolResultBlock = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z
    .union([
      z.string(),
      z.array(
        z.discriminatedUnion("type", [textBlock, imageBlock], {
          error: unknownKind("results of type", "type", '"text" and "image"'),
        }),
      ),
    ])
    .optional(),
  is_error: z.boolean().optional(),
});

const block: z.ZodType<WireBlock> = z.discriminatedUnion(
  "type",
  [
    textBlock,
    imageBlock,
    z.object({
      type: z.literal("tool_use"),
      id: z.string(),
      name: toolName,
      input: z.record(z.string(), z.unknown()),
    }),
    toolResultBlock,
    z.object({ type: z.literal("thinking"), thinking: z.string() }),
    z.object({ type: z.literal("redacted_thinking") }),
  ],
  {
    error: unknownKind("blocks of type", "type", '"text", "image", "tool_use", "tool_result" and "thinking"'),
  },
);

export const wireMessage: z.ZodType<WireMessage> = z.object({
  role: z.enum(["user", "assistant", "system"]),
  content: z
    .union([z.string(), z.array(block)])
    .openapi({ description: "Text, or blocks in reading order: text and any number of pictures." }),
});
