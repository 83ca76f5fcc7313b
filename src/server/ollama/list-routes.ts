import { createRoute, z } from "@hono/zod-openapi";
import { factsOf } from "../pool/facts-of.ts";
import { addRoute, jsonResponse, type RouteModule } from "../route-module.ts";
import { detailsOfFiles, detailsOfLoaded, modelDetails } from "./model-details.ts";

const capabilities = z
  .array(z.enum(["completion", "vision", "tools", "thinking", "embedding"]))
  .openapi({ description: "What can be asked of it." });

const identityFields = {
  name: z.string().openapi({ example: "pico:latest" }),
  model: z.string().openapi({ description: "The same as `name`." }),
  size: z.int().openapi({ description: "Of all its files, in bytes." }),
  digest: z.string().openapi({ description: "64 hex digits that change when its files do." }),
  details: modelDetails,
};

const Tags = z
  .object({ models: z.array(z.object({ ...identityFields, modified_at: z.string(), capabilities })) })
  .openapi("OllamaTags");

const Processes = z
  .object({
    models: z.array(
      z.object({
        ...identityFields,
        expires_at: z.string().openapi({ description: "When it is unloaded if nobody uses it until then." }),
        size_vram: z.int().openapi({ description: "How much of it lies in the memory of a GPU, in bytes." }),
        context_length: z.int(),
      }),
    ),
  })
  .openapi("OllamaProcesses");

const tags = createRoute({
  method: "get",
  path: "/api/tags",
  tags: ["Ollama"],
  summary: "The models that there are",
  responses: { 200: jsonResponse(Tags, "Newest first.") },
});

const processes = createRoute({
  method: "get",
  path: "/api/ps",
  tags: ["Ollama"],
  summary: "The models that are loaded",
  responses: { 200: jsonResponse(Processes, "Those that stay longest first.") },
});

/** What Ollama answers for a model that stays for ever: about 292 years from now, the longest duration of Go. */
const FOR_EVER_MS = 2 ** 63 / 1e6;

/** `/api/tags` and `/api/ps`. */
export const listRoutes: RouteModule = (app, context) => {
  addRoute(app, tags, async (c) => {
    const entries = await context.models.list();
    const models = entries.map(async ({ name, bytes, modifiedAt, digest, load }) => {
      const facts = await factsOf(load);
      return {
        name,
        model: name,
        modified_at: modifiedAt.toISOString(),
        size: bytes,
        digest,
        details: detailsOfFiles(facts),
        capabilities: facts.capabilities,
      };
    });
    // A file that went away since the list was made takes only its own model with it.
    const settled = await Promise.allSettled(models);
    return c.json({
      models: settled.flatMap((model) => (model.status === "fulfilled" ? [model.value] : [])),
    });
  });

  addRoute(app, processes, (c) => {
    const loaded = [...context.models.loaded()];
    const endOf = ({ expiresAt }: { expiresAt: Date | undefined }): number =>
      expiresAt?.getTime() ?? Date.now() + FOR_EVER_MS;
    loaded.sort((a, b) => endOf(b) - endOf(a));
    return c.json({
      models: loaded.map(({ entry, info, ...rest }) => ({
        name: entry.name,
        model: entry.name,
        size: entry.bytes,
        digest: entry.digest,
        details: detailsOfLoaded(info),
        expires_at: new Date(endOf(rest)).toISOString(),
        size_vram: info.device === "CPU" ? 0 : entry.bytes,
        context_length: info.contextLength,
      })),
    });
  });
};
