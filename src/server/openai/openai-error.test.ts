import { expect, test } from "vitest";
import { ERROR_TABLE, MullError, type ErrorCode } from "../../spec/errors.ts";
import { openaiError } from "./openai-error.ts";

test("every code has OpenAI's four fields and the status of the table", () => {
  for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
    const { status, body } = openaiError(new MullError(code, "What happened."));
    expect(status).toBe(ERROR_TABLE[code].httpStatus);
    expect(Object.keys(body.error)).toEqual(["message", "type", "param", "code"]);
    expect(body.error.type).not.toBe("");
  }
});

test("what to do follows what happened, and the place at fault is named", () => {
  const error = new MullError("invalid_argument", "temperature is -1.", {
    hint: "Give 0 to 2.",
    details: { param: "temperature" },
  });
  expect(openaiError(error).body.error).toEqual({
    message: "temperature is -1. Give 0 to 2.",
    type: "invalid_request_error",
    param: "temperature",
    code: null,
  });
});

test.each([
  ["model_not_found", 404, "invalid_request_error", "model_not_found"],
  ["context_overflow", 400, "invalid_request_error", "context_length_exceeded"],
  ["unauthorized", 401, "invalid_request_error", "invalid_api_key"],
  ["rate_limited", 429, "requests", "rate_limit_exceeded"],
  ["server_busy", 503, "service_unavailable_error", "server_is_overloaded"],
] as const)("%s is known to OpenAI's clients", (code, status, type, wireCode) => {
  const answer = openaiError(new MullError(code, "x"));
  expect(answer.status).toBe(status);
  expect(answer.body.error).toMatchObject({ type, code: wireCode });
});
