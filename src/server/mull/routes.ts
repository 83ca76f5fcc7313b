import { basename } from "node:path";
import { createRoute } from "@hono/zod-openapi";
import { encodeVector, type WireStreamRequest } from "../../providers/wire.ts";
import { MullError } from "../../spec/errors.ts";
import type { ModelInfo } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { ModelDescription, PromptTokens, Stats, StreamPartLine, Vectors } from "./answer-schemas.ts";
import { clientOf, readInputs, readStreamRequest } from "./read-request.ts";
import { StreamBody, VectorsBody } from "./request-schemas.ts";
import { observeStream } from "../observe-stream.ts";
import { readBody } from "../read-body.ts";
import { addRoute, jsonBody, jsonResponse, type RequestContext, type RouteModule } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { streamNdjson } from "../stream-response.ts";
import { ModelUse } from "../wire/model-use.ts";

const tags = ["mull"];

const stream = createRoute({
  method: "post",
  path: "/api/stream",
  tags,
  summary: "An answer in the library's own parts, one per line",
  request: { body: jsonBody(StreamBody) },
  responses: {
    200: {
      description: "Progress, receipts, thoughts, text, tool calls, and `finish` or `error` at the end.",
      content: { "application/x-ndjson": { schema: StreamPartLine } },
    },
  },
});

const tokens = createRoute({
  method: "post",
  path: "/api/tokens",
  tags,
  summary: "Tokens that a request's prompt takes, without asking the model",
  request: { body: jsonBody(StreamBody) },
  responses: { 200: jsonResponse(PromptTokens, "Text and pictures, counted apart.") },
});

const vectors = createRoute({
  method: "post",
  path: "/api/vectors",
  tags,
  summary: "Vectors of texts and pictures in one space",
  request: { body: jsonBody(VectorsBody) },
  responses: { 200: jsonResponse(Vectors, "One vector per input.") },
});

const models = createRoute({
  method: "get",
  path: "/api/models/{name}",
  tags,
  summary: "Facts of a model, which is loaded if it was not",
  responses: { 200: jsonResponse(ModelDescription, "The model is loaded.") },
});

const stats = createRoute({
  method: "get",
  path: "/api/stats/{name}",
  tags,
  summary: "What the engine of a loaded model does now and did since it was started",
  responses: { 200: jsonResponse(Stats, "Counters only grow.") },
});

/** mull's own wire: the types of the library as JSON. `connect()` is its client. */
export const mullRoutes: RouteModule = (app, context) => {
  addRoute(app, stream, async (c) => {
    const body = await readBody(c, StreamBody);
    const onError = (error: MullError): object[] => [{ type: "error", error }];
    return streamNdjson(c, context, answer(c, context, body), { onError });
  });

  addRoute(app, tokens, async (c) => {
    const { model: name, ...body } = await readBody(c, StreamBody);
    using use = await ModelUse.begin(c, context, name);
    const request = await readStreamRequest(c, context, use.entry, body);
    const model = await use.model();
    return c.json(await model.countTokens(request));
  });

  addRoute(app, vectors, async (c) => {
    const { model: name, inputs: given, client, ...options } = await readBody(c, VectorsBody);
    using use = await ModelUse.begin(c, context, name);
    const inputs = await readInputs(c, context, given);
    const model = await use.model();
    const whole = { ...options, client: clientOf(c, client), signal: c.var.signal };
    const answered = await model.embed(inputs, whole);
    return c.json({ ...answered, vectors: answered.vectors.map(encodeVector) });
  });

  addRoute(app, models, async (c) => {
    using use = await ModelUse.begin(c, context, nameIn(c));
    return c.json(publicInfo((await use.model()).info));
  });

  addRoute(app, stats, async (c) => {
    const { name } = await context.models.find(nameIn(c));
    const loaded = context.models.loaded().find(({ entry }) => entry.name === name);
    if (loaded === undefined) {
      throw new MullError("model_not_found", `The model ${name} is not loaded.`, {
        hint: "It is loaded by the first question.",
      });
    }
    return c.json(await loaded.model.stats());
  });
};

async function* answer(
  c: RequestContext,
  context: ServerContext,
  { model: name, ...body }: WireStreamRequest,
): AsyncGenerator<StreamPart, void, undefined> {
  using use = await ModelUse.begin(c, context, name);
  const request = await readStreamRequest(c, context, use.entry, body);
  const model = await use.model();
  // Not `use.stream()`: a model that cannot think refuses to, as it does in the library.
  for await (const part of observeStream(context.metrics, use.entry.name, model.stream(request))) {
    yield part.type === "finish" ? addLoadTime(part, use.loadMs) : part;
  }
}

/** The model found itself loaded; this request waited for that too. */
function addLoadTime(part: Extract<StreamPart, { type: "finish" }>, loadMs: number): StreamPart {
  const { timings } = part;
  return {
    ...part,
    timings: { ...timings, loadMs: timings.loadMs + loadMs, totalMs: timings.totalMs + loadMs },
  };
}

function nameIn(c: RequestContext): string {
  return c.req.param("name") ?? "";
}

/** Where a server keeps its files is not its clients' business. */
function publicInfo(info: ModelInfo): ModelInfo {
  const { model, projector, adapters } = info.files;
  return {
    ...info,
    files: {
      model: basename(model),
      ...(projector === undefined ? {} : { projector: basename(projector) }),
      ...(adapters === undefined ? {} : { adapters: adapters.map((path) => basename(path)) }),
    },
  };
}
