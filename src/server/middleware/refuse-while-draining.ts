import type { MiddlewareHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import type { ServerEnvironment } from "../server-context.ts";
import type { ServerLifetime } from "../server-lifetime.ts";

/** Routes that tell about the server rather than work for a client: they answer to the end. */
const WATCHED: ReadonlySet<string> = new Set(["/health", "/metrics"]);

/** A server that ends takes no new work over the connections that it still has. */
export function refuseWhileDraining(lifetime: ServerLifetime): MiddlewareHandler<ServerEnvironment> {
  return async (c, next) => {
    if (lifetime.draining && !WATCHED.has(c.req.path)) {
      throw new MullError("server_busy", "The server is ending.", { details: { retryAfterSeconds: 5 } });
    }
    await next();
  };
}
