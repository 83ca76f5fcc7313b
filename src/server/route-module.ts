import { type OpenAPIHono, type RouteConfig, z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import type { ServerContext, ServerEnvironment } from "./server-context.ts";

export type ServerApp = OpenAPIHono<ServerEnvironment>;

/** What a handler gets: request, response helpers, and the variables of `RequestVariables` as `c.var`. */
export type RequestContext = Context<ServerEnvironment>;

/** Adds the routes of one dialect to the server's app. */
export type RouteModule = (app: ServerApp, context: ServerContext) => void;

/**
 * Adds one route: its definition goes into `/openapi.json`, its handler answers.
 *
 *     const embed = createRoute({
 *       method: "post",
 *       path: "/api/embed",
 *       tags: ["Ollama"],
 *       summary: "Vectors of texts",
 *       request: { body: jsonBody(EmbedRequest) },
 *       responses: { 200: jsonResponse(EmbedResponse, "One vector per input.") },
 *     });
 *
 *     addRoute(app, embed, async (c) => {
 *       const body = await readBody(c, EmbedRequest);
 *       …
 *       return c.json(answer);
 *     });
 *
 * `app.openapi()` is not used because it reads bodies itself: on the main thread, and only those with the right
 * Content-Type. Handlers throw `MullError`; the app turns it into the dialect's error. Path parameters
 * (`/v1/models/{model}`) come from `c.req.param()`.
 */
export function addRoute(
  app: ServerApp,
  route: RouteConfig,
  handler: (c: RequestContext) => Response | Promise<Response>,
): void {
  app.openAPIRegistry.registerPath(route);
  // Hono looks for the handler of a HEAD request among those of GET.
  if (route.method === "head") app.use(pathPattern(route), answerHead(handler));
  else app.on(route.method, pathPattern(route), handler);
}

/** The path as Hono writes it: `/v1/models/:model`. */
export function pathPattern({ path }: Pick<RouteConfig, "path">): string {
  return path.replaceAll(/\{(.+?)\}/g, ":$1");
}

function answerHead(
  handler: (c: RequestContext) => Response | Promise<Response>,
): MiddlewareHandler<ServerEnvironment> {
  return async (c, next) => (c.req.method === "HEAD" ? handler(c) : next());
}

type JsonContent = { "application/json": { schema: z.ZodType } };

/** The `request.body` of a route definition: a JSON body of this schema. */
export function jsonBody(schema: z.ZodType): { required: true; content: JsonContent } {
  return { required: true, content: { "application/json": { schema } } };
}

/** One of the `responses` of a route definition: JSON of this schema. */
export function jsonResponse(
  schema: z.ZodType,
  description: string,
): { description: string; content: JsonContent } {
  return { description, content: { "application/json": { schema } } };
}

/** JSON, or when the request asks for a stream, one `item` per line (NDJSON) or per event (SSE). */
export function streamedResponse(
  whole: z.ZodType,
  item: z.ZodType,
  stream: "application/x-ndjson" | "text/event-stream",
  description: string,
): { description: string; content: Record<string, { schema: z.ZodType }> } {
  return { description, content: { "application/json": { schema: whole }, [stream]: { schema: item } } };
}

/**
 * Schema of a picture in a body: base64 or URL as text, or the bytes that the body parser has already made of it.
 * `readMediaInput` turns the value into what a `Model` takes.
 */
export const mediaInput: z.ZodType<string | Uint8Array> = z
  .custom<string | Uint8Array>(
    (value) => typeof value === "string" || value instanceof Uint8Array,
    "expected a picture as text: base64, a data: URL, or sha256:… of an upload",
  )
  .openapi({
    type: "string",
    description: "Base64, a data: URL, `sha256:…` of an upload, or an https: URL.",
  });
