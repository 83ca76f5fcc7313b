import type { RouteModule } from "../route-module.ts";
import { chatRoute } from "./chat-route.ts";
import { completionsRoute } from "./completions-route.ts";
import { embeddingsRoute } from "./embeddings-route.ts";
import { modelRoutes } from "./model-routes.ts";
import { responsesRoute } from "./responses-route.ts";

/** OpenAI's HTTP API, as far as a model on this machine can answer it. */
export const openaiRoutes: RouteModule = (app, context) => {
  for (const add of [modelRoutes, chatRoute, completionsRoute, responsesRoute, embeddingsRoute]) {
    add(app, context);
  }
};
