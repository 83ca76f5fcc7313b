import { createRoute, z } from "@hono/zod-openapi";
import { packageVersion } from "../../spec/package-version.ts";
import { addRoute, jsonResponse, type RouteModule } from "../route-module.ts";

/**
 * The version of Ollama whose API is spoken. Clients compare it with the least that they need (VS Code wants 0.6.4), so
 * a number of ours would shut them out.
 */
const OLLAMA_VERSION = "0.33.0";

const Version = z
  .object({
    version: z.string().openapi({ description: "Version of Ollama whose API this server speaks." }),
    mull: z.string().openapi({ description: "Extension: version of this server." }),
  })
  .openapi("OllamaVersion");

const root = createRoute({
  method: "get",
  path: "/",
  tags: ["Ollama"],
  summary: "Whether a server is there",
  responses: { 200: { description: "It is.", content: { "text/plain": { schema: z.string() } } } },
});

const version = createRoute({
  method: "get",
  path: "/api/version",
  tags: ["Ollama"],
  summary: "Versions of API and server",
  responses: { 200: jsonResponse(Version, "Both.") },
});

/** `/` and `/api/version`. */
export const versionRoutes: RouteModule = (app) => {
  const mull = packageVersion();
  addRoute(app, root, (c) => c.text("Ollama is running"));
  addRoute(app, version, (c) => c.json({ version: OLLAMA_VERSION, mull }));
};
