import { z } from "@hono/zod-openapi";
import type { ErrorCode, MullError } from "../../spec/errors.ts";
import { jsonResponse } from "../route-module.ts";

/** Body of every failure under `/v1` of OpenAI's API; also the `data:` of a stream that fails half-way. */
export interface OpenAiErrorBody {
  error: {
    message: string;
    type: string;
    /** Place in the request's body that is at fault, such as "messages[2].content[0].image_url". */
    param: string | null;
    code: string | null;
  };
}

/** Type and code of each failure. Where OpenAI documents a code, it is that one; elsewhere it is mull's own. */
const DIALECT: Record<ErrorCode, { type: string; code: string | null }> = {
  invalid_argument: { type: "invalid_request_error", code: null },
  model_not_found: { type: "invalid_request_error", code: "model_not_found" },
  invalid_model: { type: "invalid_request_error", code: "invalid_model" },
  media_not_found: { type: "invalid_request_error", code: "image_file_not_found" },
  unsupported_media: { type: "invalid_request_error", code: "unsupported_image_media_type" },
  invalid_media: { type: "invalid_request_error", code: "image_parse_error" },
  media_too_large: { type: "invalid_request_error", code: "image_too_large" },
  unsupported_modality: { type: "invalid_request_error", code: "unsupported_modality" },
  context_overflow: { type: "invalid_request_error", code: "context_length_exceeded" },
  template_failed: { type: "invalid_request_error", code: "invalid_prompt" },
  engine_unavailable: { type: "server_error", code: "engine_unavailable" },
  engine_crashed: { type: "server_error", code: "engine_crashed" },
  out_of_memory: { type: "server_error", code: "out_of_memory" },
  insufficient_storage: { type: "server_error", code: "insufficient_storage" },
  store_unavailable: { type: "server_error", code: "store_unavailable" },
  digest_mismatch: { type: "server_error", code: "digest_mismatch" },
  unauthorized: { type: "invalid_request_error", code: "invalid_api_key" },
  forbidden: { type: "invalid_request_error", code: "forbidden" },
  not_found: { type: "invalid_request_error", code: "unknown_url" },
  method_not_allowed: { type: "invalid_request_error", code: "method_not_supported" },
  body_too_large: { type: "invalid_request_error", code: "request_too_large" },
  rate_limited: { type: "requests", code: "rate_limit_exceeded" },
  server_busy: { type: "service_unavailable_error", code: "server_is_overloaded" },
  server_unreachable: { type: "server_error", code: "server_unreachable" },
  timeout: { type: "server_error", code: "timeout" },
  aborted: { type: "server_error", code: "request_cancelled" },
  closed: { type: "service_unavailable_error", code: "model_unloaded" },
  internal: { type: "server_error", code: "server_error" },
};

/**
 * A failure in OpenAI's words. `details.param` of the error, if it is text, becomes `param`.
 * Everything in it is told: see `publicError`.
 */
export function openaiError(error: MullError): { status: number; body: OpenAiErrorBody } {
  const { type, code } = DIALECT[error.code];
  const param = error.details["param"];
  const message = [error.message, error.hint].filter((text) => text !== undefined).join(" ");
  return {
    status: error.httpStatus,
    body: { error: { message, type, param: typeof param === "string" ? param : null, code } },
  };
}

const errorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi("OpenAIError");

/** The `responses` that every route of this API has. */
export const errorResponses: Record<string, ReturnType<typeof jsonResponse>> = {
  "4XX": jsonResponse(errorBody, "The request cannot be answered; the message says why."),
  "5XX": jsonResponse(errorBody, "The server could not answer."),
};
