import { createRoute } from "@hono/zod-openapi";
import type { StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
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
import { newId } from "../wire/new-id.ts";
import { errorResponses, openaiError } from "./openai-error.ts";
import { responseEvent, ResponseEvents, type ResponseEvent } from "./response-events.ts";
import { responseHead, responseObject, type ResponseObject } from "./response-object.ts";
import { responseRequest, type ResponseRequest } from "./response-request.ts";
import { responseToStreamRequest } from "./response-to-stream-request.ts";
import { OPENAI_DEFAULTS } from "./sampling.ts";

const route = createRoute({
  method: "post",
  path: "/v1/responses",
  tags: ["OpenAI"],
  summary: "Answer a conversation of texts and pictures, without keeping it",
  request: { body: jsonBody(responseRequest) },
  responses: {
    200: streamedResponse(responseObject, responseEvent, "text/event-stream", "The answer."),
    ...errorResponses,
  },
});

/** `POST /v1/responses` */
export const responsesRoute: RouteModule = (app, context) => {
  addRoute(app, route, async (c) => {
    const body = await readBody(c, responseRequest);
    if (body.stream !== true) return c.json(await completeResponse(c, context, body));
    const begun: Begun = {};
    return streamEvents(c, context, streamResponse(c, context, body, begun), {
      onError: (error) => {
        const { code, message } = openaiError(error).body.error;
        return [toServerSent(begun.events!.fail({ code: code ?? "server_error", message }))];
      },
    });
  });
};

/** Where the stream's events stand, for whoever has to say that it failed. */
interface Begun {
  /** There from the first event on. */
  events?: ResponseEvents;
}

async function completeResponse(
  c: RequestContext,
  context: ServerContext,
  body: ResponseRequest,
): Promise<ResponseObject> {
  using use = await ModelUse.begin(c, context, body.model);
  const request = await requestOf(c, context, body, use);
  const events = new ResponseEvents(responseHead(newId("resp_"), body, request));
  for await (const part of answer(c, body, use, request)) events.push(part);
  return events.response;
}

async function* streamResponse(
  c: RequestContext,
  context: ServerContext,
  body: ResponseRequest,
  begun: Begun,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  using use = await ModelUse.begin(c, context, body.model);
  const request = await requestOf(c, context, body, use);
  const events = (begun.events = new ResponseEvents(responseHead(newId("resp_"), body, request)));
  for await (const part of answer(c, body, use, request)) yield* events.push(part).map(toServerSent);
}

async function requestOf(
  c: RequestContext,
  context: ServerContext,
  body: ResponseRequest,
  { entry }: ModelUse,
): Promise<StreamRequest> {
  const asked = await responseToStreamRequest(body, imageReader(c, context));
  return completeRequest(asked, entry, OPENAI_DEFAULTS, context.options.maxTokens);
}

function answer(
  c: RequestContext,
  body: ResponseRequest,
  use: ModelUse,
  request: StreamRequest,
): AsyncIterable<StreamPart> {
  const parts = use.stream({ ...request, client: c.var.client, signal: c.var.signal });
  return body.parallel_tool_calls === false ? firstToolCallOnly(parts) : parts;
}

function toServerSent(data: ResponseEvent): ServerSentEvent {
  return { event: data.type, data };
}
