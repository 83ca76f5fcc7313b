import { createRoute } from "@hono/zod-openapi";
import { MullError } from "../../../spec/errors.ts";
import { createModel } from "../../../store/create/create-model.ts";
import type { FileSource, Recipe } from "../../../store/create/recipe.ts";
import type { Digest } from "../../../store/digest.ts";
import type { ModelStore } from "../../../store/model-store.ts";
import { pullReference } from "../../../store/pull-reference.ts";
import { readBody } from "../../read-body.ts";
import { addRoute, jsonBody, type RouteModule, streamedResponse } from "../../route-module.ts";
import { requireName } from "../find-model.ts";
import { CreateRequest, recipeOf } from "./create-request.ts";
import type { HeldUploads } from "./held-uploads.ts";
import { progressLine } from "./progress-line.ts";
import { requestReference } from "./request-reference.ts";
import { sendProgress } from "./send-progress.ts";

const create = createRoute({
  method: "post",
  path: "/api/create",
  tags: ["Ollama"],
  summary: "Makes a model: of another one, or of uploaded files",
  request: { body: jsonBody(CreateRequest) },
  responses: { 200: streamedResponse(progressLine, progressLine, "application/x-ndjson", "How far it is.") },
});

/** `/api/create`. */
export function createRoutes(uploads: HeldUploads): RouteModule {
  return (app, context) => {
    const { store, models, env } = context;
    addRoute(app, create, async (c) => {
      const body = await readBody(c, CreateRequest);
      const name = requireName(body.model, body.name);
      const target = requestReference(name).name;
      await models.requireFree(name);
      const recipe = await recipeOf(body, context);
      const files = uploadsOf(recipe);
      return sendProgress(c, context, body.stream ?? true, async (onProgress, signal) => {
        try {
          await createModel(store, target, recipe, {
            env,
            signal,
            onProgress,
            fetchModel: async (missing) => {
              await pullReference(missing, store, { env, signal, onProgress });
            },
            weights: await import("../../../engine/quantize-model.ts"),
            ...(body.quantize == null || body.quantize === "" ? {} : { quantize: body.quantize }),
            ...(body.quantize_projector == null ? {} : { quantizeProjector: body.quantize_projector }),
          });
        } catch (error) {
          throw withUploadNames(error, files, store);
        }
        await uploads.release(files.map(({ blob }) => blob));
      });
    });
  };
}

type Upload = Extract<FileSource, { blob: Digest }>;

function uploadsOf({ from, adapters }: Recipe): Upload[] {
  const files = "files" in from ? [...from.files, ...adapters] : adapters;
  return files.filter((file): file is Upload => "blob" in file);
}

/** Where it lies here is nothing to its client, who called it something. */
function withUploadNames(error: unknown, files: readonly Upload[], store: ModelStore): MullError {
  const { code, message, hint, details } = MullError.wrap(error);
  const named = (text: string): string =>
    files.reduce((said, { blob, name }) => said.replaceAll(store.paths.blob(blob), `"${name}"`), text);
  return new MullError(code, named(message), {
    ...(hint === undefined ? {} : { hint: named(hint) }),
    details,
    cause: error,
  });
}
