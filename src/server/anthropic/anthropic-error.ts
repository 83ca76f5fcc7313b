import { z } from "@hono/zod-openapi";
import type { ErrorCode, MullError } from "../../spec/errors.ts";
import { jsonResponse } from "../route-module.ts";

/** Body of every failure of Anthropic's API; also the `data:` of an `error` event in a stream. */
export interface AnthropicErrorBody {
  type: "error";
  error: { type: string; message: string };
}

const TYPES: Record<ErrorCode, string> = {
  invalid_argument: "invalid_request_error",
  model_not_found: "not_found_error",
  invalid_model: "invalid_request_error",
  media_not_found: "invalid_request_error",
  unsupported_media: "invalid_request_error",
  invalid_media: "invalid_request_error",
  media_too_large: "invalid_request_error",
  unsupported_modality: "invalid_request_error",
  context_overflow: "invalid_request_error",
  template_failed: "invalid_request_error",
  engine_unavailable: "api_error",
  engine_crashed: "api_error",
  out_of_memory: "overloaded_error",
  insufficient_storage: "api_error",
  store_unavailable: "api_error",
  digest_mismatch: "api_error",
  unauthorized: "authentication_error",
  forbidden: "permission_error",
  not_found: "not_found_error",
  method_not_allowed: "invalid_request_error",
  body_too_large: "request_too_large",
  rate_limited: "rate_limit_error",
  server_busy: "overloaded_error",
  server_unreachable: "api_error",
  timeout: "timeout_error",
  aborted: "api_error",
  closed: "api_error",
  internal: "api_error",
};

/** Anthropic has a status of its own for a server that is too busy. */
const OVERLOADED = 529;

/**
 * A failure in Anthropic's words. Everything in it is told: see `publicError`.
 */
export function anthropicError(error: MullError): { status: number; body: AnthropicErrorBody } {
  const type = TYPES[error.code];
  const message = [error.message, error.hint].filter((text) => text !== undefined).join(" ");
  return {
    status: type === "overloaded_error" ? OVERLOADED : error.httpStatus,
    body: { type: "error", error: { type, message } },
  };
}

const errorBody = z
  .object({ type: z.literal("error"), error: z.object({ type: z.string(), message: z.string() }) })
  .openapi("AnthropicError");

/** The `responses` that every route of this API has. */
export const errorResponses: Record<string, ReturnType<typeof jsonResponse>> = {
  "4XX": jsonResponse(errorBody, "The request cannot be answered; the message says why."),
  "5XX": jsonResponse(errorBody, "The server could not answer."),
};
