import { getRequestListener } from "@hono/node-server";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { MullError } from "../spec/errors.ts";
import { ConnectionCaps } from "./listen/connection-caps.ts";
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from "./listen/connection-limits.ts";
import { ExchangeWatch } from "./listen/exchange-watch.ts";
import type { Metrics } from "./metrics.ts";
import type { ServerApp } from "./route-module.ts";
import type { ServerLifetime } from "./server-lifetime.ts";

export interface ListenOptions {
  host: string;
  port: number;
  lifetime: ServerLifetime;
  metrics: Metrics;
  limits?: Partial<ConnectionLimits>;
}

/** A socket that listens, with the app behind it. */
export interface Listener {
  address: AddressInfo;
  /** Takes no new connections and lets go of idle ones; those at work go on. */
  stop(): void;
  /** Closes what is still open. Resolves when nothing is. */
  close(): Promise<void>;
}

/** Connections that the kernel keeps until they are accepted: it takes as many as it allows. */
const BACKLOG = 4096;

/**
 * Puts an app on a socket, with everything that a slow or greedy client runs into before it.
 *
 * @throws MullError `invalid_argument` if nothing can listen there
 */
export async function listen(app: ServerApp, options: ListenOptions): Promise<Listener> {
  const { host, port, lifetime, metrics } = options;
  const limits = { ...DEFAULT_CONNECTION_LIMITS, ...options.limits };
  const caps = new ConnectionCaps(limits);
  const watch = new ExchangeWatch(limits, lifetime);
  const answer = getRequestListener(app.fetch, {
    // The globals of the process are not ours to replace.
    overrideGlobalObjects: false,
    errorHandler: () => Response.json({ error: "The request cannot be read." }, { status: 400 }),
  });
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    if (caps.isRefused(incoming.socket)) return void incoming.resume();
    watch.add(incoming, outgoing);
    void answer(incoming, outgoing);
  };
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      // ExchangeWatch does better.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkMs,
      noDelay: true,
    },
    onRequest,
  );
  // Without this, Node would ask for the body before anybody has looked at its size.
  server.on("checkContinue", onRequest);
  server.on("connection", (socket: Socket) => {
    if (!caps.admit(socket)) metrics.count("rejected_total", { reason: "connections" });
    metrics.gauge("http_connections", caps.open);
    socket.once("close", () => metrics.gauge("http_connections", caps.open));
  });
  await listening(server, host, port);
  return {
    address: server.address() as AddressInfo,
    stop: () => {
      server.close();
      server.closeIdleConnections();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(explain(error, host, port)));
    server.listen({ host, port, backlog: BACKLOG }, resolve);
  });
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): MullError {
  const [what, hint] = REASONS[error.code ?? ""] ?? [`cannot be listened on: ${error.message}`, undefined];
  return new MullError("invalid_argument", `Port ${port} of ${host} ${what}.`, {
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  });
}

const REASONS: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  EADDRINUSE: [
    "is in use already",
    "Another mull, or Ollama, may be running. Stop it, or choose another port with --port.",
  ],
  EACCES: ["may not be used", "Ports below 1024 belong to the system. Choose another with --port."],
  EADDRNOTAVAIL: ["is not of this machine", "Give an address that this machine has with --host."],
  ENOTFOUND: ["cannot be found", "Give an address, such as 127.0.0.1, with --host."],
};
