import { expect, test } from "vitest";
import { ERROR_TABLE, MullError, type ErrorCode } from "../../spec/errors.ts";
import { anthropicError } from "./anthropic-error.ts";

test("every code has Anthropic's shape", () => {
  for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
    const { status, body } = anthropicError(new MullError(code, "What happened."));
    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.type).toBe("error");
    expect(body.error.type).toMatch(/^[a-z_]+$/);
  }
});

test.each([
  ["invalid_argument", 400, "invalid_request_error"],
  ["unauthorized", 401, "authentication_error"],
  ["forbidden", 403, "permission_error"],
  ["model_not_found", 404, "not_found_error"],
  ["body_too_large", 413, "request_too_large"],
  ["rate_limited", 429, "rate_limit_error"],
  ["internal", 500, "api_error"],
  ["timeout", 504, "timeout_error"],
  ["server_busy", 529, "overloaded_error"],
] as const)("%s has the documented status and type", (code, status, type) => {
  const answer = anthropicError(new MullError(code, "x"));
  expect(answer.status).toBe(status);
  expect(answer.body.error.type).toBe(type);
});

test("what to do follows what happened", () => {
  const known = new MullError("invalid_argument", "max_tokens is missing.", { hint: "Say how many." });
  expect(anthropicError(known).body.error.message).toBe("max_tokens is missing. Say how many.");
});
