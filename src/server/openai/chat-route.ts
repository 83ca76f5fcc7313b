import { createRoute } from "@hono/zod-openapi";
import { readBody } from "../read-body.ts";
import {
  addRoute,
  jsonBody,
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
import { collectAnswers } from "./answer.ts";
import { ChatChunks, chatChunkSchema } from "./chat-chunks.ts";
import { chatCompletion, chatCompletionSchema, type ChatCompletion } from "./chat-completion.ts";
import { chatRequest, type ChatRequest } from "./chat-request.ts";
import { toStreamRequest } from "./chat-to-stream-request.ts";
import { choiceRequests, streamChoices, type ChoicePart } from "./choices.ts";
import { chunkEvents } from "./chunk-events.ts";
import { completionHead } from "./completion-head.ts";
import { errorResponses } from "./openai-error.ts";
import { OPENAI_DEFAULTS } from "./sampling.ts";

const route = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  tags: ["OpenAI"],
  summary: "Answer a conversation of texts and pictures",
  request: { body: jsonBody(chatRequest) },
  responses: {
    200: streamedResponse(chatCompletionSchema, chatChunkSchema, "text/event-stream", "The answer."),
    ...errorResponses,
  },
});

/** `POST /v1/chat/completions` */
export const chatRoute: RouteModule = (app, context) => {
  addRoute(app, route, async (c) => {
    const body = await readBody(c, chatRequest);
    if (body.stream === true) return streamEvents(c, context, streamChat(c, context, body));
    return c.json(await completeChat(c, context, body));
  });
};

async function completeChat(
  c: RequestContext,
  context: ServerContext,
  body: ChatRequest,
): Promise<ChatCompletion> {
  using use = await ModelUse.begin(c, context, body.model);
  const answers = await collectAnswers(answer(c, context, body, use), body.n ?? 1);
  return chatCompletion(completionHead("chatcmpl-", body.model, use.entry), answers, body.logprobs === true);
}

async function* streamChat(
  c: RequestContext,
  context: ServerContext,
  body: ChatRequest,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  using use = await ModelUse.begin(c, context, body.model);
  const head = completionHead("chatcmpl-", body.model, use.entry);
  const chunks = new ChatChunks(head, body.stream_options?.include_usage === true);
  yield* chunkEvents(answer(c, context, body, use), chunks);
}

async function* answer(
  c: RequestContext,
  context: ServerContext,
  body: ChatRequest,
  use: ModelUse,
): AsyncGenerator<ChoicePart, void, undefined> {
  const asked = await toStreamRequest(body, imageReader(c, context));
  const request = completeRequest(asked, use.entry, OPENAI_DEFAULTS, context.options.maxTokens);
  const requests = choiceRequests({ ...request, client: c.var.client }, body.n ?? 1);
  yield* streamChoices(
    (one) => (body.parallel_tool_calls === false ? firstToolCallOnly(use.stream(one)) : use.stream(one)),
    requests,
    c.var.signal,
  );
}
