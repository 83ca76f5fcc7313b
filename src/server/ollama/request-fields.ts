import { z } from "@hono/zod-openapi";
import { MullError } from "../../spec/errors.ts";
import type { ImageDetail } from "../../spec/message.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { JsonSchema } from "../../spec/tool.ts";
import { optionsField, type WireOptions } from "./generation-options.ts";
import { keepAliveField, type WireKeepAlive } from "./keep-alive.ts";
import type { Nullish } from "./nullish.ts";
import type { ImageBudget } from "./wire-message.ts";

const LEVELS = ["low", "medium", "high", "max"] as const;

export type WireThink = boolean | (typeof LEVELS)[number];
export type WireFormat = string | Record<string, unknown>;

/** What bodies of `/api/generate` and `/api/chat` have in common. */
export type CommonRequest = Nullish<{
  model: string;
  stream: boolean;
  format: WireFormat;
  keep_alive: WireKeepAlive;
  options: WireOptions;
  think: WireThink;
  truncate: boolean;
  logprobs: boolean;
  top_logprobs: number;
  detail: ImageDetail;
  max_image_tokens: number;
  overflow: "error" | "shrink";
}>;

type Fields<Shape> = { [Name in keyof Shape]-?: z.ZodType<Shape[Name]> };

export const modelField: z.ZodType<string | null | undefined> = z
  .string()
  .nullish()
  .openapi({ description: "Required.", example: "pico" });

export const commonFields: Fields<CommonRequest> = {
  model: modelField,
  stream: z.boolean().nullish().openapi({ description: "Answer line by line. Default true." }),
  format: z
    .union([z.string(), z.record(z.string(), z.unknown())])
    .nullish()
    .openapi({
      description: '"json", or a JSON Schema that the answer shall fit; a grammar makes sure of it.',
    }),
  keep_alive: keepAliveField.nullish(),
  options: optionsField.nullish(),
  think: z
    .custom<WireThink>(
      (value) => typeof value === "boolean" || LEVELS.includes(value as (typeof LEVELS)[number]),
      'must be "high", "medium", "low", "max", true, or false',
    )
    .openapi({
      type: ["boolean", "string"],
      enum: [true, false, ...LEVELS],
      description: "Whether, or how hard, the model thinks before it answers. Default: if it can.",
    })
    .nullish(),
  truncate: z
    .boolean()
    .nullish()
    .openapi({
      description:
        "Leave out the oldest messages when all do not fit the context. Default: true for messages without pictures; " +
        "a picture is never left out unless this says true.",
    }),
  logprobs: z.boolean().nullish().openapi({ description: "Log probabilities of the answer's tokens." }),
  top_logprobs: z
    .int()
    .nullish()
    .openapi({ minimum: 0, maximum: 20, description: "How many alternatives of each token." }),
  detail: z.enum(["auto", "low", "high"]).nullish().openapi({
    description: "Extension: how much of the context each picture may take, as OpenAI's `detail`.",
  }),
  max_image_tokens: z.int().min(1).nullish().openapi({
    description: "Extension, experimental: most rows of the context that each picture may take.",
  }),
  overflow: z
    .enum(["error", "shrink"])
    .nullish()
    .openapi({ description: "Extension: what to do when pictures do not fit the context. Default `error`." }),
};

export function imageBudget(body: CommonRequest): ImageBudget {
  return {
    ...(body.detail == null ? {} : { detail: body.detail }),
    ...(body.max_image_tokens == null ? {} : { maxTokens: body.max_image_tokens }),
  };
}

/** What of a request for an answer does not depend on the model. */
export type CommonAsk = Pick<StreamRequest, "format" | "logprobs" | "overflow">;

/** @throws MullError `invalid_argument` */
export function toCommonAsk(body: CommonRequest): CommonAsk {
  const format = toFormat(body.format);
  const top = body.top_logprobs ?? 0;
  if (top < 0 || top > 20) throw invalid("top_logprobs", "top_logprobs must be between 0 and 20");
  return {
    ...(format === undefined ? {} : { format }),
    ...(body.logprobs === true ? { logprobs: top } : {}),
    ...(body.overflow == null ? {} : { overflow: body.overflow }),
  };
}

function toFormat(format: WireFormat | null | undefined): "json" | JsonSchema | undefined {
  if (format == null || format === "") return undefined;
  if (typeof format === "object" || format === "json") return format;
  throw invalid(
    "format",
    `invalid format: ${JSON.stringify(format.slice(0, 100))}; expected "json" or a valid JSON Schema object`,
  );
}

export function invalid(param: string, message: string): MullError {
  return new MullError("invalid_argument", message, { details: { param } });
}
