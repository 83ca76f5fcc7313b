import { z } from "@hono/zod-openapi";
import type { EngineStats, ModelInfo } from "../../spec/model.ts";
import type { MediaReceipt } from "../../spec/receipt.ts";
import type { Timings, TokenLogprob, Usage } from "../../spec/stream.ts";

/** These describe answers in `/openapi.json`; answers are made of the types themselves. */
const count = z.int();
const milliseconds = z.number().openapi({ description: "Milliseconds." });

const Receipt: z.ZodType<MediaReceipt> = z
  .looseObject({
    kind: z.literal("image"),
    name: z.string(),
    format: z.string(),
    bytes: count,
    sha256: z.string(),
    original: z.object({ width: count, height: count }),
    steps: z.array(z.custom<MediaReceipt["steps"][number]>().openapi({ type: "object" })),
    tokens: count.optional(),
  })
  .openapi("MediaReceipt", { description: "What the model really saw of a picture." }) as never;

const Logprob: z.ZodType<TokenLogprob> = z
  .looseObject({ token: z.string(), bytes: z.array(count), logprob: z.number() })
  .openapi("TokenLogprob") as never;

const usage: z.ZodType<Usage> = z.object({
  inputTokens: z.object({ total: count, text: count, image: count, cached: count }),
  outputTokens: count,
});

const timings: z.ZodType<Timings> = z.object({
  loadMs: milliseconds,
  queueMs: milliseconds,
  decodeMs: milliseconds,
  encodeMs: milliseconds,
  prefillMs: milliseconds,
  generateMs: milliseconds,
  firstTokenMs: milliseconds,
  totalMs: milliseconds,
});

const NativeError = z
  .object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.looseObject({}).optional(),
  })
  .openapi("MullError");

export const StreamPartLine = z
  .discriminatedUnion("type", [
    z.object({
      type: z.literal("progress"),
      stage: z.enum(["load", "decode", "encode", "prefill"]),
      completed: count,
      total: count,
    }),
    z.object({ type: z.literal("media"), receipt: Receipt }),
    z.object({ type: z.literal("reasoning-start"), id: z.string() }),
    z.object({ type: z.literal("reasoning-delta"), id: z.string(), delta: z.string() }),
    z.object({ type: z.literal("reasoning-end"), id: z.string() }),
    z.object({ type: z.literal("text-start"), id: z.string() }),
    z.object({
      type: z.literal("text-delta"),
      id: z.string(),
      delta: z.string(),
      logprobs: z.array(Logprob).optional(),
    }),
    z.object({ type: z.literal("text-end"), id: z.string() }),
    z.object({
      type: z.literal("tool-call"),
      toolCall: z.object({ id: z.string(), name: z.string(), arguments: z.looseObject({}) }),
    }),
    z.object({
      type: z.literal("finish"),
      reason: z.enum(["stop", "length", "tool-calls"]),
      usage,
      timings,
    }),
    z.object({ type: z.literal("error"), error: NativeError }),
  ])
  .openapi("StreamPart", {
    description: "The last one is `finish` or `error`; an answer without either was cut.",
  });

export const PromptTokens = z.object({ total: count, text: count, image: count }).openapi("PromptTokens");

export const Vectors = z
  .object({
    vectors: z
      .array(z.string())
      .openapi({ description: "Base64 of each input's unit vector: float32, little-endian." }),
    usage: PromptTokens,
    receipts: z.array(Receipt),
  })
  .openapi("Vectors");

export const ModelDescription: z.ZodType<ModelInfo> = z
  .looseObject({
    name: z.string(),
    architecture: z.string(),
    parameters: count,
    contextLength: count,
    capabilities: z.array(z.string()),
    input: z.array(z.enum(["text", "image"])),
    files: z.object({ model: z.string(), projector: z.string().optional() }),
  })
  .openapi("ModelInfo", {
    description: "Facts of a loaded model. `files` are names without folders.",
  }) as never;

export const Stats: z.ZodType<EngineStats> = z
  .looseObject({
    running: count,
    waiting: count,
    contextCells: count,
    usedCells: count,
    residentBytes: count,
  })
  .openapi("EngineStats", {
    description: "What the model's engine does now and did since it was started.",
  }) as never;
