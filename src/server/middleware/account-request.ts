import { createHash } from "node:crypto";
import { matchedRoutes } from "hono/route";
import type { RequestContext } from "../route-module.ts";
import type { ServerContext } from "../server-context.ts";

export interface RequestFacts {
  milliseconds: number;
  /** Written to the socket, headers included. Undefined without a socket. */
  bytes: number | undefined;
  /** The client went away before the answer was complete. */
  abandoned: boolean;
}

/** nginx's status for a client that closed the connection. */
const CLIENT_CLOSED_REQUEST = 499;

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Asked every few seconds by whoever watches the server: a log of that is noise. */
const WATCHED: ReadonlySet<string> = new Set(["/health", "/metrics"]);

/** The access log and the counters of HTTP. Never bodies, keys, queries or addresses: clients appear as a digest. */
export function accountRequest(c: RequestContext, context: ServerContext, facts: RequestFacts): void {
  const route = routeOf(c);
  const method = METHODS.has(c.req.method) ? c.req.method : "OTHER";
  const status = facts.abandoned ? CLIENT_CLOSED_REQUEST : c.res.status;
  const { client, requestId, model } = c.var;
  context.metrics.count("http_requests_total", { method, route, status: String(status) });
  context.metrics.observe("http_request_duration_seconds", facts.milliseconds / 1000, { route });
  const level = WATCHED.has(route) && status === 200 ? "debug" : "info";
  context.log[level]("request", {
    method,
    route,
    status,
    ms: Math.round(facts.milliseconds * 10) / 10,
    ...(facts.bytes === undefined ? {} : { bytes: facts.bytes }),
    client: createHash("sha256").update(client).digest("hex").slice(0, 8),
    ...(model === undefined ? {} : { model }),
    request: requestId,
  });
}

/** The pattern that matched, such as "/v1/models/:model": a path can be anything, and labels must be few. */
function routeOf(c: RequestContext): string {
  const route = matchedRoutes(c).findLast(({ path }) => path !== "/*" && path !== "*");
  return route?.path ?? "none";
}
