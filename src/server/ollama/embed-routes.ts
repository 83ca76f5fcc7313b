import { createRoute, z } from "@hono/zod-openapi";
import type { EmbedInput } from "../../spec/model.ts";
import { readBody } from "../read-body.ts";
import { countImages, readMediaInput } from "../read-media-input.ts";
import {
  addRoute,
  jsonBody,
  jsonResponse,
  mediaInput,
  type RequestContext,
  type RouteModule,
} from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";
import { acquireOptions } from "./acquire-options.ts";
import { metricFields } from "./answer-fields.ts";
import { findModel, requireName } from "./find-model.ts";
import { optionsField, readOptions, type WireOptions } from "./generation-options.ts";
import { keepAliveField, type WireKeepAlive } from "./keep-alive.ts";
import type { Nullish } from "./nullish.ts";
import { invalid, modelField } from "./request-fields.ts";
import { toNanoseconds } from "./timestamp.ts";
import { withModel } from "./with-model.ts";

type WireInput = string | Nullish<{ text: string; image: string | Uint8Array }>;

type CommonEmbedRequest = Nullish<{ model: string; keep_alive: WireKeepAlive; options: WireOptions }>;

type EmbedRequest = CommonEmbedRequest &
  Nullish<{ input: WireInput | WireInput[]; truncate: boolean; dimensions: number }>;

type EmbeddingsRequest = CommonEmbedRequest & Nullish<{ prompt: string }>;

const commonFields = {
  model: modelField,
  keep_alive: keepAliveField.nullish(),
  options: optionsField.nullish(),
};

const wireInput: z.ZodType<WireInput> = z.union([
  z.string(),
  z.object({ text: z.string().nullish(), image: mediaInput.nullish() }),
]);

const EmbedRequest: z.ZodType<EmbedRequest> = z
  .object({
    ...commonFields,
    input: z
      .union([wireInput, z.array(wireInput)])
      .nullish()
      .openapi({
        description:
          "One thing or several. Extension: beside texts, `{ text?, image? }` for a picture or a picture with words " +
          "about it; their vectors lie in the space of the texts'.",
      }),
    truncate: z.boolean().nullish().openapi({
      description: "Shorten what is longer than the context; false: an error. Default true.",
    }),
    dimensions: z
      .int()
      .min(0)
      .nullish()
      .openapi({ description: "Keep this many first dimensions. Default: all." }),
  })
  .openapi("OllamaEmbedRequest", { required: ["model"] });

const EmbedAnswer = z
  .object({
    model: z.string(),
    embeddings: z.array(z.array(z.number())).openapi({ description: "One unit vector per input." }),
    total_duration: metricFields["total_duration"] ?? z.int(),
    load_duration: metricFields["load_duration"] ?? z.int(),
    prompt_eval_count: metricFields["prompt_eval_count"] ?? z.int(),
    prompt_eval_image: metricFields["prompt_eval_image"] ?? z.int(),
    receipts: metricFields["receipts"] ?? z.array(z.object()),
  })
  .openapi("OllamaEmbedAnswer");

const EmbeddingsRequest: z.ZodType<EmbeddingsRequest> = z
  .object({ ...commonFields, prompt: z.string().nullish() })
  .openapi("OllamaEmbeddingsRequest", { required: ["model"] });

const embed = createRoute({
  method: "post",
  path: "/api/embed",
  tags: ["Ollama"],
  summary: "Vectors of texts and pictures",
  request: { body: jsonBody(EmbedRequest) },
  responses: { 200: jsonResponse(EmbedAnswer, "One vector per input.") },
});

const embeddings = createRoute({
  method: "post",
  path: "/api/embeddings",
  tags: ["Ollama"],
  summary: "The vector of one text; `/api/embed` is newer",
  request: { body: jsonBody(EmbeddingsRequest) },
  responses: { 200: jsonResponse(z.object({ embedding: z.array(z.number()) }), "One vector.") },
});

export const embedRoutes: RouteModule = (app, context) => {
  addRoute(app, embed, async (c) => {
    const started = performance.now();
    const body = await readBody(c, EmbedRequest);
    const model = requireName(body.model);
    const entry = await findModel(context.models, model);
    const acquire = acquireFor(body, context);
    const inputs = [body.input === "" ? [] : (body.input ?? [])].flat();
    checkInputs(inputs, context);
    return withModel(c, context, entry, acquire, async (lease) => {
      // Nothing to embed only loads the model.
      if (inputs.length === 0) return c.json({ model, embeddings: [] });
      const { vectors, usage, receipts } = await lease.model.embed(await toInputs(inputs, c, context), {
        client: c.var.client,
        signal: c.var.signal,
        ...(body.truncate == null ? {} : { truncate: body.truncate }),
        ...(body.dimensions == null || body.dimensions === 0 ? {} : { dimensions: body.dimensions }),
      });
      return c.json({
        model,
        embeddings: vectors.map((vector) => Array.from(vector)),
        total_duration: toNanoseconds(performance.now() - started),
        load_duration: toNanoseconds(lease.loadMs),
        prompt_eval_count: usage.total,
        prompt_eval_image: usage.image,
        receipts,
      });
    });
  });

  addRoute(app, embeddings, async (c) => {
    const body = await readBody(c, EmbeddingsRequest);
    const entry = await findModel(context.models, requireName(body.model));
    const prompt = body.prompt ?? "";
    return withModel(c, context, entry, acquireFor(body, context), async ({ model }) => {
      if (prompt === "") return c.json({ embedding: [] });
      const { vectors } = await model.embed([prompt], { client: c.var.client, signal: c.var.signal });
      return c.json({ embedding: Array.from(vectors[0] ?? []) });
    });
  });
};

function acquireFor(body: CommonEmbedRequest, context: ServerContext): ReturnType<typeof acquireOptions> {
  const { contextLength } = readOptions(body.options, undefined, undefined, context.log);
  return acquireOptions(body.keep_alive, contextLength);
}

function checkInputs(inputs: readonly WireInput[], context: ServerContext): void {
  let pictures = 0;
  for (const [index, input] of inputs.entries()) {
    if (typeof input === "string") continue;
    if (input.image != null) pictures += 1;
    else if (input.text == null)
      throw invalid(`input[${index}]`, `input[${index}] has neither text nor image.`);
  }
  countImages(pictures, context);
}

async function toInputs(
  inputs: readonly WireInput[],
  c: RequestContext,
  context: ServerContext,
): Promise<EmbedInput[]> {
  const { client, signal } = c.var;
  const converted: EmbedInput[] = [];
  for (const [index, input] of inputs.entries()) {
    if (typeof input === "string") converted.push(input);
    else {
      const { text, image } = input;
      const where = `input[${index}].image`;
      converted.push({
        ...(text == null ? {} : { text }),
        ...(image == null ? {} : { image: await readMediaInput(image, where, { context, client, signal }) }),
      });
    }
  }
  return converted;
}
