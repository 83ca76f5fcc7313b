import { createRoute, z } from "@hono/zod-openapi";
import { textOf } from "../../chat/text-of.ts";
import { readModelHeaders } from "../../store/facts/model-facts.ts";
import { filesOfModel } from "../../store/locate-model.ts";
import { factsOf } from "../pool/facts-of.ts";
import { readBody } from "../read-body.ts";
import { addRoute, jsonBody, jsonResponse, type RouteModule } from "../route-module.ts";
import { findModel, requireName } from "./find-model.ts";
import { ggufTensors, ggufValues } from "./gguf-values.ts";
import { detailsOfFiles, modelDetails } from "./model-details.ts";
import { modelfileOf, parametersOf } from "./modelfile.ts";
import type { Nullish } from "./nullish.ts";
import { modelField } from "./request-fields.ts";

type ShowRequest = Nullish<{ model: string; name: string; verbose: boolean }>;

const ShowRequest: z.ZodType<ShowRequest> = z
  .object({
    model: modelField,
    name: z.string().nullish().openapi({ description: "Old name of `model`." }),
    verbose: z
      .boolean()
      .nullish()
      .openapi({ description: "With vocabularies and other long arrays. Default false." }),
  })
  .openapi("OllamaShowRequest");

const metadata = z.record(z.string(), z.unknown()).openapi({
  type: "object",
  description: "Metadata of the file by key. Arrays of more than five items are null unless `verbose`.",
});

const ShowAnswer = z
  .object({
    license: z.string().optional(),
    modelfile: z.string(),
    parameters: z.string().optional(),
    template: z.string().openapi({ description: "Jinja source of the chat template." }),
    system: z.string().optional(),
    details: modelDetails,
    messages: z.array(z.object({ role: z.string(), content: z.string() })).optional(),
    model_info: metadata,
    projector_info: metadata.optional(),
    tensors: z.array(z.object({ name: z.string(), type: z.string(), shape: z.array(z.int()) })),
    capabilities: z.array(z.string()),
    modified_at: z.string(),
  })
  .openapi("OllamaShowAnswer");

const show = createRoute({
  method: "post",
  path: "/api/show",
  tags: ["Ollama"],
  summary: "What is known of a model without loading it",
  request: { body: jsonBody(ShowRequest) },
  responses: { 200: jsonResponse(ShowAnswer, "From the headers of its files.") },
});

export const showRoute: RouteModule = (app, context) => {
  addRoute(app, show, async (c) => {
    const body = await readBody(c, ShowRequest);
    const name = requireName(body.model, body.name);
    const entry = await findModel(context.models, name, (missing) => `model '${missing}' not found`);
    const facts = await factsOf(entry.load);
    const files = filesOfModel(entry.load);
    const { text, projector } = await readModelHeaders({ ...files, model: files.splitFiles ?? files.model });
    const license = entry.licenses?.join("\n") ?? facts.license ?? "";
    const verbose = body.verbose ?? false;
    const parameters = parametersOf(entry);
    return c.json({
      ...(license === "" ? {} : { license }),
      modelfile: modelfileOf(entry),
      ...(parameters.length === 0
        ? {}
        : { parameters: parameters.map(([key, value]) => `${key.padEnd(30)} ${value}`).join("\n") }),
      template: facts.template,
      ...(entry.system === undefined ? {} : { system: entry.system }),
      details: detailsOfFiles(facts),
      ...(entry.messages === undefined || entry.messages.length === 0
        ? {}
        : { messages: entry.messages.map((message) => ({ role: message.role, content: textOf(message) })) }),
      model_info: ggufValues(text, verbose),
      ...(projector === undefined ? {} : { projector_info: ggufValues(projector, verbose) }),
      tensors: ggufTensors(text),
      capabilities: facts.capabilities,
      modified_at: entry.modifiedAt.toISOString(),
    });
  });
};
