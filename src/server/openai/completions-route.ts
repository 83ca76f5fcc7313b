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
import { ModelUse } from "../wire/model-use.ts";
import { collectAnswers } from "./answer.ts";
import { choiceRequests, streamChoices, type ChoicePart } from "./choices.ts";
import { chunkEvents } from "./chunk-events.ts";
import { completionHead } from "./completion-head.ts";
import {
  COMPLETION_DEFAULTS,
  completionRequest,
  toStreamRequests,
  type CompletionRequest,
} from "./completion-request.ts";
import {
  completion,
  CompletionChunks,
  completionSchema,
  type Completion,
  type CompletionShape,
} from "./completion.ts";
import { errorResponses } from "./openai-error.ts";

const route = createRoute({
  method: "post",
  path: "/v1/completions",
  tags: ["OpenAI"],
  summary: "Continue a text",
  request: { body: jsonBody(completionRequest) },
  responses: {
    200: streamedResponse(completionSchema, completionSchema, "text/event-stream", "The answer."),
    ...errorResponses,
  },
});

/** `POST /v1/completions` */
export const completionsRoute: RouteModule = (app, context) => {
  addRoute(app, route, async (c) => {
    const body = await readBody(c, completionRequest);
    if (body.stream === true) return streamEvents(c, context, streamCompletion(c, context, body));
    return c.json(await complete(c, context, body));
  });
};

async function complete(
  c: RequestContext,
  context: ServerContext,
  body: CompletionRequest,
): Promise<Completion> {
  using use = await ModelUse.begin(c, context, body.model);
  const shape = shapeOf(body);
  const answers = await collectAnswers(answer(c, context, body, use), shape.begins.length);
  return completion(completionHead("cmpl-", body.model, use.entry), answers, shape);
}

async function* streamCompletion(
  c: RequestContext,
  context: ServerContext,
  body: CompletionRequest,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  using use = await ModelUse.begin(c, context, body.model);
  const head = completionHead("cmpl-", body.model, use.entry);
  const chunks = new CompletionChunks(head, shapeOf(body), body.stream_options?.include_usage === true);
  yield* chunkEvents(answer(c, context, body, use), chunks);
}

async function* answer(
  c: RequestContext,
  context: ServerContext,
  body: CompletionRequest,
  use: ModelUse,
): AsyncGenerator<ChoicePart, void, undefined> {
  const requests = toStreamRequests(body).flatMap((asked) => {
    const request = completeRequest(asked, use.entry, COMPLETION_DEFAULTS, context.options.maxTokens);
    return choiceRequests({ ...request, client: c.var.client }, body.n ?? 1);
  });
  yield* streamChoices((one) => use.stream(one), requests, c.var.signal);
}

function shapeOf(body: CompletionRequest): CompletionShape {
  const n = body.n ?? 1;
  const prompts = [body.prompt].flat();
  return {
    n,
    begins: prompts.flatMap((prompt) => Array<string>(n).fill(body.echo === true ? prompt : "")),
    withLogprobs: body.logprobs != null,
  };
}
