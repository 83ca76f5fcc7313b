import type { ErrorHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { MullError } from "../../spec/errors.ts";
import { dialectOf, errorAnswer } from "../dialect.ts";
import { publicError, retryAfterSeconds } from "../public-error.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext, ServerEnvironment } from "../server-context.ts";

/** Codes that say that the server did not want to do what it could have done. */
const REJECTIONS: ReadonlySet<string> = new Set([
  "unauthorized",
  "forbidden",
  "body_too_large",
  "rate_limited",
  "server_busy",
]);

/** Answers whatever a handler or middleware threw in the shape of the path's dialect. */
export function sendError(context: ServerContext): ErrorHandler<ServerEnvironment> {
  return (thrown, c) => errorResponse(c, context, thrown);
}

export function errorResponse(c: RequestContext, context: ServerContext, thrown: unknown): Response {
  const error = whatHappened(thrown, c.var.signal);
  if (REJECTIONS.has(error.code)) context.metrics.count("rejected_total", { reason: error.code });
  logError(c, context, error);
  const shown = publicError(error, context, c.var);
  const { status, body } = errorAnswer(shown, dialectOf(c.req.path));
  const seconds = retryAfterSeconds(shown);
  if (seconds !== undefined) c.header("Retry-After", String(seconds));
  if (error.code === "unauthorized") c.header("WWW-Authenticate", "Bearer");
  return c.json(body, status as ContentfulStatusCode);
}

/**
 * The error to tell of: that a request was cut off matters less than why, and the signal knows that.
 */
export function whatHappened(thrown: unknown, signal: AbortSignal | undefined): MullError {
  if (thrown instanceof HTTPException) {
    return new MullError("invalid_argument", `The request could not be read: ${thrown.message}.`);
  }
  const error = MullError.wrap(thrown);
  const reason: unknown = signal?.aborted === true ? signal.reason : undefined;
  return (error.code === "aborted" || error.code === "closed") && MullError.is(reason) ? reason : error;
}

/** What a dead engine leaves behind, by its names in `details` and in the log. */
const LAST_WORDS: readonly (readonly [detail: string, field: string])[] = [
  ["signal", "signal"],
  ["code", "exitCode"],
  ["lastLines", "lastLines"],
];

export function logError(c: RequestContext, context: ServerContext, error: MullError): void {
  const { log } = context;
  const { requestId, model } = c.var;
  const fields = {
    request: requestId,
    ...(model === undefined ? {} : { model }),
    code: error.code,
    message: error.message,
  };
  if (error.httpStatus < 500 || error.code === "timeout") log.debug("request failed", fields);
  else if (error.code === "internal") {
    const cause = error.cause instanceof Error ? error.cause.stack : undefined;
    log.error("request failed", { ...fields, stack: cause ?? error.stack });
  } else {
    const known = LAST_WORDS.filter(([detail]) => error.details[detail] !== undefined);
    const lastWords = Object.fromEntries(known.map(([detail, field]) => [field, error.details[detail]]));
    log.warn("request failed", { ...fields, ...lastWords });
  }
}
