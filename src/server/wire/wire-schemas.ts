import { z } from "@hono/zod-openapi";
import type { JsonSchema } from "../../spec/tool.ts";

/** Fields that a client may leave out or send as null: both mean the same. */
export type Nullish<Fields> = { [Name in keyof Fields]?: Fields[Name] | null | undefined };

/** A picture as a parsed body holds it: a URL, or the bytes that were in it. Its schema is `mediaInput`. */
export type WireImage = string | Uint8Array;

export const jsonSchema: z.ZodType<JsonSchema> = z
  .union([z.boolean(), z.record(z.string(), z.unknown())])
  .openapi({ type: "object", description: "JSON Schema, draft 2020-12." });

export const toolName: z.ZodType<string> = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected letters, digits, _, - and . only, at most 64")
  .openapi({ description: "Letters, digits, `_`, `-`, `.`; at most 64." });

/** Reference to an uploaded picture where a dialect wants the id of a file. */
export const uploadedFile: z.ZodType<string> = z
  .string()
  .regex(
    /^sha256:[0-9a-f]{64}$/,
    "expected sha256: and the digest of a picture uploaded with POST /api/media",
  )
  .openapi({ description: "`sha256:` and the digest of a picture uploaded with POST /api/media." });

/** Accepted and without effect, whatever it is. */
export const withoutEffect: z.ZodType = z
  .unknown()
  .openapi({ description: "Accepted, without effect on this server." });
