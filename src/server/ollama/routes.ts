import type { RouteModule } from "../route-module.ts";
import { chatRoute } from "./chat-route.ts";
import { embedRoutes } from "./embed-routes.ts";
import { generateRoute } from "./generate-route.ts";
import { listRoutes } from "./list-routes.ts";
import { showRoute } from "./show-route.ts";
import { blobRoutes } from "./store/blob-routes.ts";
import { createRoutes } from "./store/create-routes.ts";
import { HeldUploads } from "./store/held-uploads.ts";
import { nameRoutes } from "./store/name-routes.ts";
import { transferRoutes } from "./store/transfer-routes.ts";
import { versionRoutes } from "./version-routes.ts";

/** Ollama's API. Extensions are named as such in `/openapi.json`. */
export const ollamaRoutes: RouteModule = (app, context) => {
  const uploads = new HeldUploads(context.store);
  const modules: readonly RouteModule[] = [
    versionRoutes,
    listRoutes,
    showRoute,
    chatRoute,
    generateRoute,
    embedRoutes,
    transferRoutes,
    nameRoutes,
    blobRoutes(uploads),
    createRoutes(uploads),
  ];
  for (const addRoutes of modules) addRoutes(app, context);
};
