import { createRoute, z } from "@hono/zod-openapi";
import { addRoute, jsonResponse, type RouteModule } from "../route-module.ts";
import { toWireModel, wireModel, wireModels } from "./models.ts";
import { errorResponses } from "./openai-error.ts";

const list = createRoute({
  method: "get",
  path: "/v1/models",
  tags: ["OpenAI"],
  summary: "Models that this server can load",
  responses: { 200: jsonResponse(wireModels, "All of them."), ...errorResponses },
});

const retrieve = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  tags: ["OpenAI"],
  summary: "One model",
  request: { params: z.object({ model: z.string() }) },
  responses: { 200: jsonResponse(wireModel, "The model."), ...errorResponses },
});

/** `GET /v1/models` and `/v1/models/{model}`. */
export const modelRoutes: RouteModule = (app, { models }) => {
  addRoute(app, list, async (c) => {
    return c.json({ object: "list", data: (await models.list()).map(toWireModel) });
  });
  addRoute(app, retrieve, async (c) => c.json(toWireModel(await models.find(c.req.param("model")!))));
};
