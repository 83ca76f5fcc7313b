import { z } from "@hono/zod-openapi";
import { mediaInput } from "../route-module.ts";
import { unknownKind } from "../wire/unknown-kind.ts";
import { toolName, uploadedFile, type Nullish, type WireImage } from "../wire/wire-schemas.ts";
import { budgetFields, type WireBudget } from "./image-part.ts";

export type WireInputPart =
  | { type: "input_text" | "output_text"; text: string }
  | { type: "refusal"; refusal: string }
  | ({ type: "input_image" } & Nullish<{
      image_url: WireImage;
      file_id: string;
    }> &
      WireBudget);

/** One item of the input of `POST /v1/responses`. */
export type WireItem =
  | {
      type?: "message" | undefined;
      role: "system" | "developer" | "user" | "assistant";
      content: string | WireInputPart[];
    }
  | { type: "function_call"; call_id: string; name: string; arguments: string }
  | { type: "function_call_output"; call_id: string; output: string | WireInputPart[] }
  | ({ type: "reasoning" } & Nullish<{ summary: { text: string }[]; content: { text: string }[] }>);

const part: z.ZodType<WireInputPart> = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.enum(["input_text", "output_text"]), text: z.string() }),
    z.object({ type: z.literal("refusal"), refusal: z.string() }),
    z.object({
      type: z.literal("input_image"),
      image_url: mediaInput.nullish(),
      file_id: uploadedFile.nullish(),
      ...budgetFields,
    }),
  ],
  { error: unknownKind("parts of type", "type", '"input_text", "input_image" and "output_text"') },
);

const content: z.ZodType<string | WireInputPart[]> = z
  .union([z.string(), z.array(part)])
  .openapi({ description: "Text, or parts in reading order: text and any number of pictures." });

const thoughts = z.array(z.object({ text: z.string() })).nullish();

export const wireItem: z.ZodType<WireItem> = z.discriminatedUnion(
  "type",
  [
    z.object({
      type: z.literal("message").optional(),
      role: z.enum(["system", "developer", "user", "assistant"]),
      content,
    }),
    z.object({
      type: z.literal("function_call"),
      call_id: z.string(),
      name: toolName,
      arguments: z.string().openapi({ description: "JSON text." }),
    }),
    z.object({ type: z.literal("function_call_output"), call_id: z.string(), output: content }),
    z.object({ type: z.literal("reasoning"), summary: thoughts, content: thoughts }),
  ],
  {
    error: unknownKind(
      "items of type",
      "type",
      '"message", "function_call", "function_call_output" and "reasoning"',
    ),
  },
);
