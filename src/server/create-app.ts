import { OpenAPIHono } from "@hono/zod-openapi";
import { infoRoutes } from "./info-routes.ts";
import { JsonBodyParser } from "./json-body-parser.ts";
import { checkApiKey } from "./middleware/check-api-key.ts";
import { checkHost } from "./middleware/check-host.ts";
import { checkOrigin } from "./middleware/check-origin.ts";
import { openRequest } from "./middleware/open-request.ts";
import { refuseMethods, refuseUnknownRoute } from "./middleware/refuse-route.ts";
import { refuseWhileDraining } from "./middleware/refuse-while-draining.ts";
import { sendError } from "./middleware/send-error.ts";
import type { RouteModule, ServerApp } from "./route-module.ts";
import type { ServerContext, ServerEnvironment } from "./server-context.ts";
import { ServerLifetime } from "./server-lifetime.ts";

/** What a running server shares with its app; a test needs none of it. */
export interface AppParts {
  lifetime?: ServerLifetime;
  bodies?: JsonBodyParser;
}

/**
 * The HTTP server as a function from `Request` to `Response`: everything but sockets.
 *
 * @param routes the dialects, and whatever else this server offers
 */
export function createApp(
  context: ServerContext,
  routes: readonly RouteModule[],
  parts: AppParts = {},
): ServerApp {
  const { lifetime = new ServerLifetime(), bodies = new JsonBodyParser() } = parts;
  const { options } = context;
  const app: ServerApp = new OpenAPIHono<ServerEnvironment>();
  app.onError(sendError(context));
  app.notFound(refuseUnknownRoute(context));
  app.use(openRequest(context, lifetime, bodies));
  app.use(checkHost(options));
  app.use(checkOrigin(options.allowedOrigins));
  app.use(checkApiKey(options.apiKeys));
  app.use(refuseWhileDraining(lifetime));
  for (const addRoutes of [infoRoutes(lifetime), ...routes]) addRoutes(app, context);
  refuseMethods(app);
  return app;
}
