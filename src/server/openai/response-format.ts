import { z } from "@hono/zod-openapi";
import type { StreamRequest } from "../../spec/model.ts";
import type { JsonSchema } from "../../spec/tool.ts";
import { jsonSchema, type Nullish } from "../wire/wire-schemas.ts";

/** What the two APIs write alike; chat completions wraps it in `json_schema`, responses does not. */
export interface WireSchemaFormat extends Nullish<{
  schema: JsonSchema;
  description: string;
  strict: boolean;
}> {
  name: string;
}

export type WireResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | { type: "json_schema"; json_schema: WireSchemaFormat };

/** Format of `POST /v1/responses`, in `text.format`. */
export type WireTextFormat =
  | { type: "text" }
  | { type: "json_object" }
  | ({ type: "json_schema" } & WireSchemaFormat);

const schemaFields = {
  name: z.string(),
  schema: jsonSchema.nullish(),
  description: z.string().nullish(),
  strict: z.boolean().nullish().openapi({ description: "A grammar enforces the schema either way." }),
};

const plainFormats = [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
] as const;

const error = 'expected type "text", "json_object" or "json_schema"';

export const responseFormat: z.ZodType<WireResponseFormat> = z.discriminatedUnion(
  "type",
  [...plainFormats, z.object({ type: z.literal("json_schema"), json_schema: z.object(schemaFields) })],
  { error },
);

export const textFormat: z.ZodType<WireTextFormat> = z.discriminatedUnion(
  "type",
  [...plainFormats, z.object({ type: z.literal("json_schema"), ...schemaFields })],
  { error },
);

/** @returns undefined for free text */
export function toFormat(format: WireResponseFormat | WireTextFormat): StreamRequest["format"] {
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return "json";
  return ("json_schema" in format ? format.json_schema.schema : format.schema) ?? "json";
}
