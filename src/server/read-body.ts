import type { z } from "@hono/zod-openapi";
import type { RequestContext } from "./route-module.ts";
import { schemaError } from "./schema-error.ts";

/** Longest name of a model that the log repeats. */
const LOGGED_NAME = 100;

/**
 * The body of a request, checked against a schema. Call it once, first thing in a handler: what it waits for is the
 * client, and nothing should be held meanwhile.
 *
 * Long base64 strings and base64 `data:` URLs outside of texts arrive as bytes: see `parse-json.ts` and the
 * schema `mediaInput`.
 *
 * @throws MullError `invalid_argument` (no body, not JSON, not what the schema wants: the message names the place),
 *   `body_too_large`, `unsupported_media` (a Content-Encoding), `server_busy`, `timeout`, `aborted`
 */
export async function readBody<Schema extends z.ZodType>(
  c: RequestContext,
  schema: Schema,
): Promise<z.output<Schema>> {
  const value = await c.var.readJson();
  const model = modelNamedIn(value);
  if (model !== undefined) c.set("model", model);
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw schemaError(parsed.error);
  return parsed.data;
}

function modelNamedIn(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null || !("model" in body)) return undefined;
  return typeof body.model === "string" ? body.model.slice(0, LOGGED_NAME) : undefined;
}
