import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the server was asked, its body read to the end. */
export interface SeenRequest {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: Buffer;
  /** Resolves when the client has gone, or has its whole answer. */
  closed: Promise<void>;
}

export type LoopbackRoute = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

export interface LoopbackServer extends AsyncDisposable {
  /** "http://127.0.0.1:12345" */
  url: string;
  /** "127.0.0.1:12345" */
  host: string;
  requests: SeenRequest[];
}

/** A server on loopback made of plain functions: "POST /api/stream" → what it answers. */
export async function loopbackServer(
  routes: Readonly<Record<string, LoopbackRoute>>,
): Promise<LoopbackServer> {
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, response) => {
    void answer(incoming, response).catch((error: unknown) => response.destroy(error as Error));
  });
  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const closed = new Promise<void>((resolve) => void response.on("close", resolve));
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = "", url: path = "", headers } = incoming;
    const request: SeenRequest = { method, path, headers, body: Buffer.concat(chunks), closed };
    requests.push(request);
    const route = routes[`${method} ${path}`];
    if (route === undefined) sendJson(response, { error: `no route ${method} ${path}` }, 404);
    else await route(request, response);
  }
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** The head and these lines; the caller ends the response, or does not. */
export function sendLines(response: ServerResponse, values: readonly unknown[]): void {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  for (const value of values) response.write(`${JSON.stringify(value)}\n`);
}

/** An address where nothing listens. */
export async function freeAddress(): Promise<string> {
  const server = await loopbackServer({});
  await server[Symbol.asyncDispose]();
  return server.host;
}
