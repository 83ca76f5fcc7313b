import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import type { RequestContext } from "../route-module.ts";
import type { ServerEnvironment } from "../server-context.ts";

/** Routes that need no key: whoever watches over a server must reach it. They tell nothing. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/health"]);

/**
 * Wants one of the keys, as `Authorization: Bearer KEY` or `x-api-key: KEY`, never in a URL, which ends up in logs.
 * Digests of equal length are compared in constant time, so that answers tell nothing of a key by their timing.
 */
export function checkApiKey(apiKeys: readonly string[]): MiddlewareHandler<ServerEnvironment> {
  const digests = apiKeys.map(sha256);
  return async (c, next) => {
    if (digests.length === 0 || OPEN_PATHS.has(c.req.path)) return next();
    const presented = presentedKeys(c).map(sha256);
    const known = presented.find((digest) =>
      digests.map((key) => timingSafeEqual(key, digest)).includes(true),
    );
    if (known === undefined) {
      const what =
        presented.length === 0 ? "This server wants an API key" : "This server does not know that API key";
      throw new MullError("unauthorized", `${what}.`, {
        hint: "Send it as Authorization: Bearer KEY, or as x-api-key: KEY.",
      });
    }
    c.set("client", known.toString("hex"));
    return next();
  };
}

function presentedKeys(c: RequestContext): string[] {
  const bearer = /^bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
  return [bearer, c.req.header("x-api-key")].filter((key) => key !== undefined);
}

function sha256(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
