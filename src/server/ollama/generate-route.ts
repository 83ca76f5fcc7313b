import { createRoute, z } from "@hono/zod-openapi";
import type { Message } from "../../spec/message.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { readBody } from "../read-body.ts";
import { addRoute, jsonBody, type RouteModule, streamedResponse } from "../route-module.ts";
import { streamNdjson } from "../stream-response.ts";
import { acquireOptions } from "./acquire-options.ts";
import { type AnswerPiece, type Ask, answerEvents, wholeAnswer } from "./answer-events.ts";
import { answerMetrics, logprobsField, metricFields, toWireLogprobs } from "./answer-fields.ts";
import { checkThink } from "./check-think.ts";
import { findModel, requireName } from "./find-model.ts";
import { readOptions } from "./generation-options.ts";
import { loadOrUnload } from "./load-or-unload.ts";
import type { Nullish } from "./nullish.ts";
import { type CommonRequest, commonFields, imageBudget, invalid, toCommonAsk } from "./request-fields.ts";
import { timestampNow } from "./timestamp.ts";
import { imagesField, type ReadImage, toContent } from "./wire-message.ts";

type GenerateRequest = CommonRequest &
  Nullish<{
    prompt: string;
    images: (string | Uint8Array)[];
    system: string;
    raw: boolean;
    suffix: string;
    template: string;
    context: number[];
  }>;

const GenerateRequest: z.ZodType<GenerateRequest> = z
  .object({
    ...commonFields,
    prompt: z
      .string()
      .nullish()
      .openapi({ description: "Empty, and no pictures: the model is only loaded, or unloaded." }),
    images: imagesField.nullish(),
    system: z.string().nullish().openapi({ description: "In place of the model's own system message." }),
    raw: z.boolean().nullish().openapi({
      description: "The prompt is all that the model reads: no template, and special tokens in it count.",
    }),
    suffix: z.string().nullish().openapi({ description: "Not supported: no model here inserts." }),
    template: z.string().nullish().openapi({ description: "Not supported: templates come with the model." }),
    context: z.array(z.number()).nullish().openapi({
      description: "Not supported, and never answered: conversations go over /api/chat.",
    }),
  })
  .openapi("OllamaGenerateRequest", { required: ["model"] });

const GenerateAnswer = z
  .object({
    model: z.string(),
    created_at: z.string(),
    response: z.string(),
    thinking: z.string().optional(),
    logprobs: logprobsField,
    done: z.boolean(),
    ...metricFields,
  })
  .openapi("OllamaGenerateAnswer");

const generate = createRoute({
  method: "post",
  path: "/api/generate",
  tags: ["Ollama"],
  summary: "An answer to one prompt",
  request: { body: jsonBody(GenerateRequest) },
  responses: {
    200: streamedResponse(
      GenerateAnswer,
      GenerateAnswer,
      "application/x-ndjson",
      "The answer: line by line, the last one with `done: true`, or whole with `stream: false`.",
    ),
  },
});

export const generateRoute: RouteModule = (app, context) => {
  addRoute(app, generate, async (c) => {
    const started = performance.now();
    const body = await readBody(c, GenerateRequest);
    const model = requireName(body.model);
    refuseUnsupported(body, model);
    const entry = await findModel(context.models, model);
    const options = readOptions(body.options, entry.generation, context.options.maxTokens, context.log);
    const common = toCommonAsk(body);
    const acquire = acquireOptions(body.keep_alive, options.contextLength);
    const head = (): { model: string; created_at: string } => ({ model, created_at: timestampNow() });

    const images = body.images ?? [];
    if ((body.prompt ?? "") === "" && images.length === 0) {
      const done_reason = await loadOrUnload(c, context, entry, acquire);
      return c.json({ ...head(), response: "", done: true, done_reason });
    }
    const ask: Ask = {
      entry,
      acquire,
      images: images.length,
      truncate: body.truncate ?? undefined,
      readMessages: (readImage) => messagesOf(body, entry, readImage),
      request: (info) => ({
        ...options.generation,
        ...common,
        ...checkThink(body.think, info, model),
        ...(body.raw === true ? { raw: true } : {}),
      }),
    };
    const events = answerEvents(c, context, ask);

    if (body.stream === false) {
      const { piece, end } = await wholeAnswer(events);
      return c.json({
        ...head(),
        ...pieceFields(piece),
        done: true,
        ...answerMetrics(end, performance.now() - started),
      });
    }
    async function* lines(): AsyncGenerator<object> {
      for await (const event of events) {
        if (event.type === "piece") yield { ...head(), ...pieceFields(event), done: false };
        else {
          yield { ...head(), response: "", done: true, ...answerMetrics(event, performance.now() - started) };
        }
      }
    }
    return streamNdjson(c, context, lines());
  });
};

/** @throws MullError `invalid_argument` that names what there is not, rather than an answer without it */
function refuseUnsupported(body: GenerateRequest, model: string): void {
  const given = (value: string | number[] | null | undefined): boolean => value != null && value.length > 0;
  if (body.raw === true && (given(body.template) || given(body.system) || given(body.context))) {
    throw invalid("raw", "raw mode does not support template, system, or context");
  }
  if (given(body.suffix)) throw invalid("suffix", `${JSON.stringify(model)} does not support insert`);
  if (given(body.template)) {
    throw invalid(
      "template",
      "template is not supported: the model's own is used. Use raw to write the whole prompt yourself.",
    );
  }
  if (given(body.context)) {
    throw invalid(
      "context",
      "context is not supported: send the conversation as messages to /api/chat. What was read before is cached.",
    );
  }
}

async function messagesOf(
  body: GenerateRequest,
  entry: CatalogEntry,
  readImage: ReadImage,
): Promise<readonly Message[]> {
  const content = await toContent(body.prompt ?? "", body.images ?? [], imageBudget(body), "", readImage);
  const question: Message = { role: "user", content };
  if (body.raw === true) return [question];
  const system = body.system != null && body.system !== "" ? body.system : entry.system;
  return [
    ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
    ...(entry.messages ?? []),
    question,
  ];
}

function pieceFields({ text, thinking, logprobs }: AnswerPiece): object {
  return {
    response: text,
    ...(thinking === "" ? {} : { thinking }),
    ...(logprobs.length === 0 ? {} : { logprobs: toWireLogprobs(logprobs) }),
  };
}
