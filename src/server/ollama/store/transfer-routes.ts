import { createRoute, z } from "@hono/zod-openapi";
import { pullReference } from "../../../store/pull-reference.ts";
import { pushReference } from "../../../store/push-reference.ts";
import { readBody } from "../../read-body.ts";
import { addRoute, jsonBody, type RouteModule, streamedResponse } from "../../route-module.ts";
import { requireName } from "../find-model.ts";
import type { Nullish } from "../nullish.ts";
import { modelField } from "../request-fields.ts";
import { progressLine } from "./progress-line.ts";
import { requestReference } from "./request-reference.ts";
import { sendProgress } from "./send-progress.ts";

type TransferRequest = Nullish<{ model: string; name: string; insecure: boolean; stream: boolean }>;

const TransferRequest: z.ZodType<TransferRequest> = z
  .object({
    model: modelField,
    name: z.string().nullish().openapi({ description: "Old name of `model`." }),
    insecure: z.boolean().nullish().openapi({ description: "Plain HTTP with the registry. Default false." }),
    stream: z.boolean().nullish().openapi({ description: "Progress line by line. Default true." }),
  })
  .openapi("OllamaTransferRequest");

const answer = {
  200: streamedResponse(progressLine, progressLine, "application/x-ndjson", "How far it is."),
};

const pull = createRoute({
  method: "post",
  path: "/api/pull",
  tags: ["Ollama"],
  summary: "Downloads a model",
  description:
    "From the registry that its name tells, from `hf.co/…`, or a `.gguf` file by its https address. What was broken " +
    "off goes on where it ended.",
  request: { body: jsonBody(TransferRequest) },
  responses: answer,
});

const push = createRoute({
  method: "post",
  path: "/api/push",
  tags: ["Ollama"],
  summary: "Uploads a model",
  request: { body: jsonBody(TransferRequest) },
  responses: answer,
});

/** `/api/pull` and `/api/push`. */
export const transferRoutes: RouteModule = (app, context) => {
  const { store, models, env } = context;
  addRoute(app, pull, async (c) => {
    const body = await readBody(c, TransferRequest);
    const name = requireName(body.model, body.name);
    requestReference(name);
    await models.requireFree(name);
    const insecure = body.insecure ?? false;
    return sendProgress(c, context, body.stream ?? true, (onProgress, signal) =>
      pullReference(name, store, { env, insecure, signal, onProgress }),
    );
  });

  addRoute(app, push, async (c) => {
    const body = await readBody(c, TransferRequest);
    const name = requireName(body.model, body.name);
    requestReference(name);
    const insecure = body.insecure ?? false;
    return sendProgress(c, context, body.stream ?? true, (onProgress, signal) =>
      pushReference(name, store, { env, insecure, signal, onProgress }),
    );
  });
};
