import { createRoute, z } from "@hono/zod-openapi";
import { packageVersion } from "../spec/package-version.ts";
import { ModelMetrics } from "./metrics/model-metrics.ts";
import { addRoute, type RouteModule } from "./route-module.ts";

const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  tags: ["Server"],
  summary: "What the server counts, for Prometheus.",
  responses: {
    200: { description: "Text format 0.0.4.", content: { "text/plain": { schema: z.string() } } },
  },
});

/** `/metrics`, with the statistics of every loaded model as they are now. */
export const metricsRoutes: RouteModule = (app, context) => {
  const models = new ModelMetrics(context);
  const startedAt = Date.now() / 1000 - process.uptime();
  context.metrics.gauge("process_start_time_seconds", startedAt);
  context.metrics.gauge("build_info", 1, { version: packageVersion() });
  addRoute(app, metricsRoute, async (c) => {
    await models.collect();
    return c.body(context.metrics.print(), 200, {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    });
  });
};
