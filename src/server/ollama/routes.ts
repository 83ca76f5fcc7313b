import type { RouteModule } from "../route-module.ts";
import { chatRoute } from "./chat-route.ts";
import { embedRoutes } from "./embed-routes.ts";
import { generateRoute } from "./generate-route.ts";
import { listRoutes } from "./list-routes.ts";
import { showRoute } from "./show-route.ts";
import { versionRoutes } from "./version-routes.ts";

/**
 * Ollama's API but for what changes the store of models (`/api/pull`, `/api/create`…).
 * Extensions are named as such in `/openapi.json`.
 */
export const ollamaRoutes: RouteModule = (app, context) => {
  for (const addRoutes of [versionRoutes, listRoutes, showRoute, chatRoute, generateRoute, embedRoutes]) {
    addRoutes(app, context);
  }
};
