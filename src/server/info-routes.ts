import { createRoute, z } from "@hono/zod-openapi";
import { packageVersion } from "../spec/package-version.ts";
import { addRoute, jsonResponse, type RouteModule } from "./route-module.ts";
import type { ServerLifetime } from "./server-lifetime.ts";

const Health = z
  .object({ status: z.enum(["ok", "draining"]), version: z.string() })
  .openapi("Health", { description: "Whether the server takes requests." });

const health = createRoute({
  method: "get",
  path: "/health",
  tags: ["Server"],
  summary: "Whether the server takes requests. Needs no key.",
  responses: {
    200: jsonResponse(Health, "It does."),
    503: jsonResponse(Health, "It is ending, and finishes what it has begun."),
  },
});

/** `/health` and `/openapi.json`. */
export function infoRoutes(lifetime: ServerLifetime): RouteModule {
  const version = packageVersion();
  return (app, { options }) => {
    addRoute(app, health, (c) =>
      lifetime.draining ? c.json({ status: "draining", version }, 503) : c.json({ status: "ok", version }),
    );
    const needsKey = options.apiKeys.length > 0;
    if (needsKey) {
      app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", { type: "http", scheme: "bearer" });
    }
    let document: object | undefined;
    app.get("/openapi.json", (c) => {
      document ??= app.getOpenAPI31Document({
        openapi: "3.1.0",
        info: { title: "mull", version, description: "Pictures and text in, text out, on this machine." },
        ...(needsKey ? { security: [{ apiKey: [] }] } : {}),
      });
      return c.json(document);
    });
  };
}
