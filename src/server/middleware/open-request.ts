import { randomBytes } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import type { JsonBodyParser } from "../json-body-parser.ts";
import { receiveJsonBody } from "../receive-body.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext, ServerEnvironment } from "../server-context.ts";
import type { ServerLifetime } from "../server-lifetime.ts";
import { accountRequest } from "./account-request.ts";
import { errorResponse } from "./send-error.ts";

/** Node's timers take no more than 31 bits of milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The first middleware: gives the request its id, its signal and its way to read a body; answers when its time is
 * over, whatever its handler does; and accounts for it when its answer has left, or nobody waits for it any more.
 */
export function openRequest(
  context: ServerContext,
  lifetime: ServerLifetime,
  bodies: JsonBodyParser,
): MiddlewareHandler<ServerEnvironment> {
  const { requestTimeoutMs, maxBodyBytes } = context.options;
  return async (c, next) => {
    const started = performance.now();
    const controller = new AbortController();
    const { incoming, outgoing } = c.env ?? {};
    const close = lifetime.open(controller, incoming);
    // A connection serves many requests: what was written before is not this one's.
    const bytesBefore = incoming?.socket.bytesWritten ?? 0;

    c.set("requestId", requestIdOf(c));
    // Without keys there is nobody to tell apart: only this machine's own users get here.
    c.set("client", "");
    c.set("signal", controller.signal);
    let body: Promise<unknown> | undefined;
    c.set("readJson", () => (body ??= receiveJsonBody(c, maxBodyBytes).then((bytes) => bodies.parse(bytes))));
    c.header("X-Request-Id", c.var.requestId);
    c.header("X-Content-Type-Options", "nosniff");

    const deadline = setTimeout(
      () =>
        controller.abort(
          new MullError("timeout", `The request took longer than ${requestTimeoutMs / 1000} s.`),
        ),
      Math.min(requestTimeoutMs, LONGEST_TIMER_MS),
    );
    deadline.unref();
    c.set("takeYourTime", () => clearTimeout(deadline));

    const finish = (): void => {
      close();
      const abandoned = outgoing !== undefined && !outgoing.writableFinished;
      if (abandoned) controller.abort(new MullError("aborted", "The client went away."));
      accountRequest(c, context, {
        milliseconds: performance.now() - started,
        bytes: incoming === undefined ? undefined : incoming.socket.bytesWritten - bytesBefore,
        abandoned,
      });
    };
    if (outgoing === undefined) followSignal(c.req.raw.signal, controller);
    else {
      outgoing.once("close", () => {
        clearTimeout(deadline);
        finish();
      });
    }

    try {
      await orAborted(next(), controller.signal);
    } catch (error) {
      c.res = errorResponse(c, context, error);
    }
    // Whoever keeps this connection must not send another request over it.
    if (lifetime.draining) c.res.headers.set("Connection", "close");
    // Without a socket nothing tells when the answer has been read; its deadline stays.
    if (outgoing === undefined) finish();
  };
}

/** The client's own id if it is one that a log can hold. */
function requestIdOf(c: RequestContext): string {
  const given = c.req.header("x-request-id");
  return given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : randomBytes(9).toString("base64url");
}

function followSignal(signal: AbortSignal, controller: AbortController): void {
  if (signal.aborted) controller.abort(signal.reason);
  else signal.addEventListener("abort", () => controller.abort(signal.reason), { once: true });
}

/** Rejects with the signal's reason when it fires first. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(MullError.wrap(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
