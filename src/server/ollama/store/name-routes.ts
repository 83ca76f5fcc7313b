import { createRoute, z } from "@hono/zod-openapi";
import { MullError } from "../../../spec/errors.ts";
import type { ModelPool } from "../../model-pool.ts";
import { readBody } from "../../read-body.ts";
import { addRoute, jsonBody, type RouteModule } from "../../route-module.ts";
import { requireName } from "../find-model.ts";
import type { Nullish } from "../nullish.ts";
import { modelField } from "../request-fields.ts";
import { requestReference } from "./request-reference.ts";

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
  const { store, models } = context;
  addRoute(app, remove, async (c) => {
    const body = await readBody(c, DeleteRequest);
    const name = requireName(body.model, body.name);
    requestReference(name);
    await inOllamasWords(name, () => models.remove(name));
    return c.body(null, 200);
  });

  addRoute(app, copy, async (c) => {
    const body = await readBody(c, CopyRequest);
    const source = requireName(body.source);
    const destination = requireName(body.destination);
    const from = requestReference(source);
    const to = requestReference(destination);
    await models.requireFree(destination);
    await inOllamasWords(source, async () => {
      if ((await store.find(from.name)) === undefined) await refuseCopy(source, models);
      await store.copy(from.name, to.name);
    });
    return c.body(null, 200);
  });
};

/** A model that there is, and that is not in the store, has no manifest that could get a second name. */
async function refuseCopy(name: string, models: ModelPool): Promise<never> {
  const entry = await models.find(name);
  throw new MullError("invalid_argument", `${entry.name} is not in the store, and cannot be copied.`, {
    hint: "Make a model of it: POST /api/create with its name in from.",
  });
}

/** Clients look for "not found" in a message. */
async function inOllamasWords(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!MullError.is(error) || error.code !== "model_not_found") throw error;
    throw new MullError("model_not_found", `model '${name.slice(0, 200)}' not found`, { cause: error });
  }
}
