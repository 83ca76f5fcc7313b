import type { MiddlewareHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerEnvironment } from "../server-context.ts";

/** How long browsers may remember the answer to a preflight request. */
const PREFLIGHT_SECONDS = "600";

/**
 * Refuses what a web page of another origin sends, on every route; answers preflight requests of allowed origins.
 * Programs that are not browsers send neither Origin nor Sec-Fetch-Site.
 *
 * @param allowedOrigins such as "https://chat.example"; `*` in them stands for anything
 */
export function checkOrigin(allowedOrigins: readonly string[]): MiddlewareHandler<ServerEnvironment> {
  const patterns = allowedOrigins.map(originPattern);
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined) {
      // Pictures, links and forms of other sites: no Origin, but browsers tell where they come from.
      const site = c.req.header("sec-fetch-site");
      if (site !== undefined && site !== "same-origin" && site !== "none") throw refused();
      return next();
    }
    if (isSameHost(c, origin)) return next();
    if (!patterns.some((pattern) => pattern.test(origin))) throw refused();
    const isPreflight =
      c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined;
    if (isPreflight) c.res = preflight(c);
    else await next();
    c.res.headers.set("Access-Control-Allow-Origin", origin);
    c.res.headers.append("Vary", "Origin");
    if (!isPreflight) c.res.headers.set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
  };
}

function preflight(c: RequestContext): Response {
  const headers = c.req.header("access-control-request-headers") ?? "";
  return c.body(null, 204, {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE, OPTIONS",
    ...(/^[\w!#$%&'*+.^`|~, -]{1,2000}$/.test(headers) ? { "Access-Control-Allow-Headers": headers } : {}),
    "Access-Control-Max-Age": PREFLIGHT_SECONDS,
    // Chrome asks this before a public page may reach a private address.
    ...(c.req.header("access-control-request-private-network") === "true"
      ? { "Access-Control-Allow-Private-Network": "true" }
      : {}),
  });
}

/** A page that this server, or a proxy in front of it, has served itself. */
function isSameHost(c: RequestContext, origin: string): boolean {
  const host = c.req.header("host") ?? new URL(c.req.url).host;
  return (
    origin.toLowerCase() === `http://${host}`.toLowerCase() ||
    origin.toLowerCase() === `https://${host}`.toLowerCase()
  );
}

function originPattern(origin: string): RegExp {
  const escaped = origin.replaceAll(/[.+?^${}()|[\]\\/]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll("*", ".*")}$`, "i");
}

function refused(): MullError {
  return new MullError("forbidden", "This server does not answer web pages of that origin.", {
    hint: "Start it with --allow-origin ORIGIN to let them.",
  });
}
