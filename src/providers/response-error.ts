import { type ErrorCode, ERROR_TABLE, MullError } from "../spec/errors.ts";

/** What a status means when the body does not say it in mull's own words. */
const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  413: "body_too_large",
  429: "rate_limited",
  502: "server_unreachable",
  503: "server_busy",
  504: "timeout",
};

/**
 * The error that a response stands for: the server's own `MullError`, whole, if it is mull; else what its status and
 * text say. Bodies of Ollama (`{error: "…"}`) and OpenAI (`{error: {message}}`) are understood.
 */
export function responseError(status: number, body: string, server: string): MullError {
  const error = readError(body);
  const fallback = CODE_BY_STATUS[status] ?? (status >= 500 ? "internal" : "invalid_argument");
  if (typeof error === "string") return new MullError(fallback, error);
  const { code, message, hint, details } = isRecord(error) ? error : {};
  if (typeof message === "string") {
    const known = typeof code === "string" && Object.hasOwn(ERROR_TABLE, code);
    return new MullError(known ? (code as ErrorCode) : fallback, message, {
      ...(typeof hint === "string" ? { hint } : {}),
      ...(isRecord(details) ? { details } : {}),
    });
  }
  if (fallback === "unauthorized") {
    return new MullError("unauthorized", `The server at ${server} wants an API key.`, {
      hint: "Set MULL_API_KEY.",
    });
  }
  return notMull(server, `it answers with status ${status}`);
}

/** The error of something that speaks HTTP but is not mull's server. */
export function notMull(server: string, sign: string): MullError {
  return new MullError("server_unreachable", `What answers at ${server} is no mull server: ${sign}.`, {
    hint: "Start one with `mull serve`. MULL_HOST names the address of another.",
  });
}

function readError(body: string): unknown {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) ? value["error"] : undefined;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
