import { createRoute } from "@hono/zod-openapi";
import { readBody } from "../read-body.ts";
import { addRoute, jsonBody, jsonResponse, type RouteModule } from "../route-module.ts";
import { imageReader } from "../wire/image-reader.ts";
import { ModelUse } from "../wire/model-use.ts";
import {
  embeddingsRequest,
  embeddingsResponse,
  embeddingsResponseSchema,
  toEmbedInputs,
} from "./embeddings.ts";
import { errorResponses } from "./openai-error.ts";

const route = createRoute({
  method: "post",
  path: "/v1/embeddings",
  tags: ["OpenAI"],
  summary: "Vectors of texts and pictures in one space",
  request: { body: jsonBody(embeddingsRequest) },
  responses: { 200: jsonResponse(embeddingsResponseSchema, "One unit vector per input."), ...errorResponses },
});

/** `POST /v1/embeddings` */
export const embeddingsRoute: RouteModule = (app, context) => {
  addRoute(app, route, async (c) => {
    const body = await readBody(c, embeddingsRequest);
    using use = await ModelUse.begin(c, context, body.model);
    const inputs = await toEmbedInputs(body, imageReader(c, context));
    const model = await use.model();
    const embeddings = await model.embed(inputs, {
      // OpenAI refuses what is too long: a vector of half a text would be taken for that of the whole.
      truncate: false,
      ...(body.dimensions == null ? {} : { dimensions: body.dimensions }),
      client: c.var.client,
      signal: c.var.signal,
    });
    return c.json(embeddingsResponse(body, embeddings));
  });
};
