import { setTimeout as delay } from "node:timers/promises";
import { createApp } from "./create-app.ts";
import { inspectRoutes } from "./inspect-route.ts";
import { JsonBodyParser } from "./json-body-parser.ts";
import { listen } from "./listen.ts";
import type { ConnectionLimits } from "./listen/connection-limits.ts";
import { mediaRoutes } from "./media-routes.ts";
import { metricsRoutes } from "./metrics-route.ts";
import type { RouteModule } from "./route-module.ts";
import type { ServerContext } from "./server-context.ts";
import { ServerLifetime } from "./server-lifetime.ts";

/** How long a cut answer may take to reach its client. */
const LAST_WORDS_MS = 1000;

export interface RunningServer {
  /** Such as "http://127.0.0.1:11434". */
  url: string;
  /**
   * Takes no new requests; lets running answers go on for `drainMs`, then ends them properly with the dialect's error;
   * then closes every model.
   */
  close(): Promise<void>;
}

/**
 * Puts a server with these parts on a socket.
 *
 * @param routes of the dialects; those that every server has are added
 * @throws MullError `invalid_argument` if nothing can listen there
 */
export async function runServer(
  context: ServerContext,
  routes: readonly RouteModule[],
  limits: Partial<ConnectionLimits> = {},
): Promise<RunningServer> {
  const { options, metrics, models } = context;
  const lifetime = new ServerLifetime();
  const bodies = new JsonBodyParser();
  const app = createApp(context, [...routes, mediaRoutes, inspectRoutes(), metricsRoutes], {
    lifetime,
    bodies,
  });
  const listener = await listen(app, { host: options.host, port: options.port, lifetime, metrics, limits });

  const end = async (): Promise<void> => {
    lifetime.drain();
    listener.stop();
    await within(lifetime.idle(), options.drainMs);
    lifetime.cut();
    await within(lifetime.idle(), LAST_WORDS_MS);
    await listener.close();
    await Promise.all([bodies.close(), models.close(0)]);
  };
  let ending: Promise<void> | undefined;
  return { url: urlOf(listener.address), close: () => (ending ??= end()) };
}

/** Waits for work, but no longer than this. */
async function within(work: Promise<void>, milliseconds: number): Promise<void> {
  const done = new AbortController();
  const late = delay(milliseconds, undefined, { signal: done.signal }).catch(() => {});
  await Promise.race([work, late]);
  done.abort();
}

/** Bound to every address, a server is reached from here by loopback. */
function urlOf({ address, family, port }: { address: string; family: string; port: number }): string {
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[address] ?? address;
  return `http://${family === "IPv6" ? `[${host}]` : host}:${port}`;
}
