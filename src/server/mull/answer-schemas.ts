import { z } from "@hono/zod-openapi";

/*
 * What answers look like, for `/openapi.json`. Nothing is checked with these: answers are made of the library's types.
 */

const count = z.int();
const receipt = z
  .looseObject({
    kind: z.literal("image"),
    name: z.string(),
    format: z.string(),
    bytes: count,
    sha256: z.string(),
    original: z.object({ width: count, height: count }),
    steps: z.array(z.looseObject({ action: z.string() })),
    tokens: count.optional(),
  })
  .openapi("MediaReceipt", { description: "What the model really saw of a picture." });
const logprob = z.looseObject({ token: z.string(), bytes: z.array(count), logprob: z.number() });
const delta = { id: z.string(), delta: z.string() };
const milliseconds = z.record(z.string(), z.number()).openapi({ description: "Milliseconds of each phase." });
const error = z
  .object({
    code: z.string().openapi({ example: "context_overflow" }),
    message: z.string(),
    hint: z.string().optional(),
    details: z.looseObject({}).optional(),
  })
  .openapi("MullError");

export const StreamPartLine: z.ZodType = z
  .discriminatedUnion("type", [
    z.object({
      type: z.literal("progress"),
      stage: z.enum(["load", "decode", "encode", "prefill"]),
      completed: count,
      total: count,
    }),
    z.object({ type: z.literal("media"), receipt }),
    z.object({ type: z.literal("reasoning-start"), id: z.string() }),
    z.object({ type: z.literal("reasoning-delta"), ...delta }),
    z.object({ type: z.literal("reasoning-end"), id: z.string() }),
    z.object({ type: z.literal("text-start"), id: z.string() }),
    z.object({ type: z.literal("text-delta"), ...delta, logprobs: z.array(logprob).optional() }),
    z.object({ type: z.literal("text-end"), id: z.string() }),
    z.object({
      type: z.literal("tool-call"),
      toolCall: z.object({ id: z.string(), name: z.string(), arguments: z.looseObject({}) }),
    }),
    z.object({
      type: z.literal("finish"),
      reason: z.enum(["stop", "length", "tool-calls"]),
      stopString: z.string().optional(),
      usage: z.object({
        inputTokens: z.object({ total: count, text: count, image: count, cached: count }),
        outputTokens: count,
        reasoningTokens: count.optional(),
      }),
      timings: milliseconds,
    }),
    z.object({ type: z.literal("error"), error }),
  ])
  .openapi("StreamPart", {
    description: "The last one is `finish` or `error`; an answer with neither was cut.",
  });

const promptTokens = z.object({ total: count, text: count, image: count });

export const PromptTokens: z.ZodType = promptTokens.openapi("PromptTokens");

export const Vectors: z.ZodType = z
  .object({
    vectors: z
      .array(z.string())
      .openapi({ description: "Base64 of each input's unit vector: float32, little-endian." }),
    usage: promptTokens,
    receipts: z.array(receipt),
  })
  .openapi("Vectors");

export const ModelDescription: z.ZodType = z
  .looseObject({
    name: z.string(),
    architecture: z.string(),
    parameters: count,
    contextLength: count,
    capabilities: z.array(z.string()),
    input: z.array(z.enum(["text", "image"])),
    files: z.object({
      model: z.string(),
      projector: z.string().optional(),
      adapters: z.array(z.string()).optional(),
    }),
  })
  .openapi("ModelInfo", { description: "Facts of a loaded model. `files` are names without folders." });

export const Stats: z.ZodType = z
  .looseObject({
    running: count,
    waiting: count,
    contextCells: count,
    usedCells: count,
    residentBytes: count,
  })
  .openapi("EngineStats");
