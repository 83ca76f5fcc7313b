import { createRoute, z } from "@hono/zod-openapi";
import type { StreamPart } from "../../spec/stream.ts";
import { readBody } from "../read-body.ts";
import {
  addRoute,
  jsonBody,
  jsonResponse,
  streamedResponse,
  type RequestContext,
  type RouteModule,
} from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { streamEvents, type ServerSentEvent } from "../stream-response.ts";
import { completeRequest } from "../wire/complete-request.ts";
import { firstToolCallOnly } from "../wire/first-tool-call-only.ts";
import { imageReader } from "../wire/image-reader.ts";
import { ModelUse } from "../wire/model-use.ts";
import { newId } from "../wire/new-id.ts";
import { errorResponses } from "./anthropic-error.ts";
import { messageEvent, MessageEvents, messageSchema } from "./message-events.ts";
import { countTokensRequest, messageRequest, type MessageRequest } from "./message-request.ts";
import { ANTHROPIC_DEFAULTS, toStreamRequest } from "./to-stream-request.ts";

const messages = createRoute({
  method: "post",
  path: "/v1/messages",
  tags: ["Anthropic"],
  summary: "Answer a conversation of texts and pictures",
  request: { body: jsonBody(messageRequest) },
  responses: {
    200: streamedResponse(messageSchema, messageEvent, "text/event-stream", "The answer."),
    ...errorResponses,
  },
});

const tokenCount = z.object({ input_tokens: z.int() }).openapi("AnthropicTokenCount");

const countTokens = createRoute({
  method: "post",
  path: "/v1/messages/count_tokens",
  tags: ["Anthropic"],
  summary: "Tokens that a conversation takes, pictures included",
  request: { body: jsonBody(countTokensRequest) },
  responses: { 200: jsonResponse(tokenCount, "How many."), ...errorResponses },
});

/** Anthropic's messages API, as far as a model on this machine can answer it. */
export const anthropicRoutes: RouteModule = (app, context) => {
  addRoute(app, messages, async (c) => {
    nameRequest(c);
    const body = await readBody(c, messageRequest);
    if (body.stream === true) return streamEvents(c, context, streamMessage(c, context, body));
    const events = new MessageEvents({ id: newId("msg_"), model: body.model });
    for await (const part of answer(c, context, body)) events.push(part);
    return c.json(events.message);
  });

  addRoute(app, countTokens, async (c) => {
    nameRequest(c);
    const body = await readBody(c, countTokensRequest);
    using use = await ModelUse.begin(c, context, body.model);
    const asked = await toStreamRequest(body, imageReader(c, context));
    const request = completeRequest(asked, use.entry, ANTHROPIC_DEFAULTS, context.options.maxTokens);
    const { client, signal } = c.var;
    return c.json({ input_tokens: await use.countTokens({ ...request, client, signal }) });
  });
};

async function* streamMessage(
  c: RequestContext,
  context: ServerContext,
  body: MessageRequest,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const events = new MessageEvents({ id: newId("msg_"), model: body.model });
  for await (const part of answer(c, context, body)) {
    for (const data of events.push(part)) yield { event: data.type, data };
  }
}

async function* answer(
  c: RequestContext,
  context: ServerContext,
  body: MessageRequest,
): AsyncGenerator<StreamPart, void, undefined> {
  using use = await ModelUse.begin(c, context, body.model);
  const asked = await toStreamRequest(body, imageReader(c, context));
  const request = completeRequest(asked, use.entry, ANTHROPIC_DEFAULTS, context.options.maxTokens);
  const parts = use.stream({ ...request, client: c.var.client, signal: c.var.signal });
  const choice = body.tool_choice;
  const oneCall = choice != null && choice.type !== "none" && choice.disable_parallel_tool_use === true;
  yield* oneCall ? firstToolCallOnly(parts) : parts;
}

/** Anthropic's clients look for the id of a request under this name. */
function nameRequest(c: RequestContext): void {
  c.header("Request-Id", c.var.requestId);
}
