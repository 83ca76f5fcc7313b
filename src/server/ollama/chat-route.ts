import { createRoute, z } from "@hono/zod-openapi";
import type { Message } from "../../spec/message.ts";
import { readBody } from "../read-body.ts";
import { addRoute, jsonBody, type RouteModule, streamedResponse } from "../route-module.ts";
import { streamNdjson } from "../stream-response.ts";
import { type AnswerPiece, type Ask, answerEvents, wholeAnswer } from "./answer-events.ts";
import { answerMetrics, logprobsField, metricFields, toWireLogprobs } from "./answer-fields.ts";
import { checkThink } from "./check-think.ts";
import { findModel, requireName } from "./find-model.ts";
import { readOptions } from "./generation-options.ts";
import { loadOrUnload } from "./load-or-unload.ts";
import type { Nullish } from "./nullish.ts";
import { type CommonRequest, commonFields, imageBudget, toCommonAsk } from "./request-fields.ts";
import { acquireOptions } from "./acquire-options.ts";
import { timestampNow } from "./timestamp.ts";
import { toMessages, type WireMessage, wireMessage } from "./wire-message.ts";
import { toTool, toWireToolCall, type WireTool, wireTool, wireToolCall } from "./wire-tools.ts";

type ChatRequest = CommonRequest & Nullish<{ messages: WireMessage[]; tools: WireTool[] }>;

const ChatRequest: z.ZodType<ChatRequest> = z
  .object({
    ...commonFields,
    messages: z
      .array(wireMessage)
      .nullish()
      .openapi({ description: "None: the model is only loaded, or unloaded." }),
    tools: z.array(wireTool).nullish(),
  })
  .openapi("OllamaChatRequest", { required: ["model"] });

const ChatAnswer = z
  .object({
    model: z.string(),
    created_at: z.string(),
    message: z.object({
      role: z.literal("assistant"),
      content: z.string(),
      thinking: z.string().optional(),
      tool_calls: z.array(wireToolCall).optional(),
    }),
    logprobs: logprobsField,
    done: z.boolean(),
    ...metricFields,
  })
  .openapi("OllamaChatAnswer");

const chat = createRoute({
  method: "post",
  path: "/api/chat",
  tags: ["Ollama"],
  summary: "The next message of a conversation",
  request: { body: jsonBody(ChatRequest) },
  responses: {
    200: streamedResponse(
      ChatAnswer,
      ChatAnswer,
      "application/x-ndjson",
      "The answer: line by line, the last one with `done: true`, or whole with `stream: false`.",
    ),
  },
});

export const chatRoute: RouteModule = (app, context) => {
  addRoute(app, chat, async (c) => {
    const started = performance.now();
    const body = await readBody(c, ChatRequest);
    const model = requireName(body.model);
    const entry = await findModel(context.models, model);
    const options = readOptions(body.options, entry.generation, context.options.maxTokens, context.log);
    const common = toCommonAsk(body);
    const acquire = acquireOptions(body.keep_alive, options.contextLength);
    const head = (): { model: string; created_at: string } => ({ model, created_at: timestampNow() });

    const wire = body.messages ?? [];
    if (wire.length === 0) {
      const done_reason = await loadOrUnload(c, context, entry, acquire);
      return c.json({ ...head(), message: { role: "assistant", content: "" }, done: true, done_reason });
    }
    const tools = (body.tools ?? []).map(toTool);
    const ask: Ask = {
      entry,
      acquire,
      images: wire.reduce((sum, { images }) => sum + (images?.length ?? 0), 0),
      truncate: body.truncate ?? undefined,
      readMessages: async (readImage) => {
        const messages = await toMessages(wire, imageBudget(body), readImage);
        const system: Message[] =
          entry.system !== undefined && messages[0]?.role !== "system"
            ? [{ role: "system", content: entry.system }]
            : [];
        return [...system, ...(entry.messages ?? []), ...messages];
      },
      request: (info) => ({
        ...options.generation,
        ...common,
        ...checkThink(body.think, info, model),
        ...(tools.length === 0 ? {} : { tools }),
      }),
    };
    const events = answerEvents(c, context, ask);

    if (body.stream === false) {
      const { piece, end } = await wholeAnswer(events);
      return c.json({
        ...head(),
        ...pieceFields(piece, 0),
        done: true,
        ...answerMetrics(end, performance.now() - started),
      });
    }
    async function* lines(): AsyncGenerator<object> {
      let calls = 0;
      for await (const event of events) {
        if (event.type === "piece") {
          yield { ...head(), ...pieceFields(event, calls), done: false };
          calls += event.toolCalls.length;
        } else {
          const message = { role: "assistant", content: "" };
          yield { ...head(), message, done: true, ...answerMetrics(event, performance.now() - started) };
        }
      }
    }
    return streamNdjson(c, context, lines());
  });
};

/** @param calls number of tool calls in earlier pieces */
function pieceFields({ text, thinking, toolCalls, logprobs }: AnswerPiece, calls: number): object {
  return {
    message: {
      role: "assistant",
      content: text,
      ...(thinking === "" ? {} : { thinking }),
      ...(toolCalls.length === 0
        ? {}
        : { tool_calls: toolCalls.map((call, index) => toWireToolCall(call, calls + index)) }),
    },
    ...(logprobs.length === 0 ? {} : { logprobs: toWireLogprobs(logprobs) }),
  };
}
