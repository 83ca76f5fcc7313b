import { createRoute, z } from "@hono/zod-openapi";
import { MullError } from "../../../spec/errors.ts";
import { requireModelName } from "../../../store/require-model-name.ts";
import { removeSavedModel } from "../../../store/saved-model.ts";
import { readBody } from "../../read-body.ts";
import { addRoute, jsonBody, type RouteModule } from "../../route-module.ts";
import { requireName } from "../find-model.ts";
import type { Nullish } from "../nullish.ts";
import { modelField } from "../request-fields.ts";

type DeleteRequest = Nullish<{ model: string; name: string }>;
type CopyRequest = Nullish<{ source: string; destination: string }>;

const DeleteRequest: z.ZodType<DeleteRequest> = z
  .object({
    model: modelField,
    name: z.string().nullish().openapi({ description: "Old name of `model`." }),
  })
  .openapi("OllamaDeleteRequest");

const CopyRequest: z.ZodType<CopyRequest> = z
  .object({ source: z.string().nullish(), destination: z.string().nullish() })
  .openapi("OllamaCopyRequest");

const remove = createRoute({
  method: "delete",
  path: "/api/delete",
  tags: ["Ollama"],
  summary: "Removes a model, and the files that no other model needs",
  request: { body: jsonBody(DeleteRequest) },
  responses: { 200: { description: "It is gone." }, 404: { description: "There is none of that name." } },
});

const copy = createRoute({
  method: "post",
  path: "/api/copy",
  tags: ["Ollama"],
  summary: "Gives a model a second name",
  request: { body: jsonBody(CopyRequest) },
  responses: {
    200: { description: "Both names are there." },
    404: { description: "There is none of that name." },
  },
});

/** `/api/delete` and `/api/copy`. */
export const nameRoutes: RouteModule = (app, context) => {
  const { store, models, env } = context;
  addRoute(app, remove, async (c) => {
    const body = await readBody(c, DeleteRequest);
    const name = requireName(body.model, body.name);
    await inOllamasWords(name, async () => {
      if (await removeSavedModel(name, env)) return;
      await store.remove(requireModelName(name));
    });
    // Whoever uses it now uses it to the end.
    await models.unload(name);
    return c.body(null, 200);
  });

  addRoute(app, copy, async (c) => {
    const { source, destination } = await readBody(c, CopyRequest);
    const from = requireName(source);
    const to = requireModelName(requireName(destination));
    await inOllamasWords(from, () => store.copy(requireModelName(from), to));
    return c.body(null, 200);
  });
};

/** Clients look for "not found" in a message. */
async function inOllamasWords(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!MullError.is(error) || error.code !== "model_not_found") throw error;
    throw new MullError("model_not_found", `model '${name.slice(0, 200)}' not found`, { cause: error });
  }
}
