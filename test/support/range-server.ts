import { createCipheriv, createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What a server does with one request; without any of it, what it should. */
export interface Behaviour {
  /** Instead of bytes. */
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Sends all, whatever it is asked for. */
  ignoreRange?: boolean;
  /** Begins so many bytes later than it says it does not: `Content-Range` tells. */
  shift?: number;
  /** Of the whole, as it says; what it sends stays the same. */
  total?: number | "unknown";
  /** Sends other content. */
  content?: Uint8Array;
  /** After so many bytes it says nothing more. */
  stallAfter?: number;
  /** After so many bytes it breaks the connection. */
  resetAfter?: number;
  /** Bytes beyond the end of what was asked for. */
  extra?: number;
  /** Between two chunks of 64 KiB. */
  pauseMs?: number;
}

/** What was sent of one answer: from `start` up to and without `end`. */
export interface SentRange {
  path: string;
  start: number;
  end: number;
}

export interface RangeServer extends AsyncDisposable {
  url: string;
  /** By path, such as "/model". */
  blobs: Map<string, Uint8Array>;
  /** Of one request, from 0; asked before it is answered. */
  behave: (request: { path: string; start: number; end: number; count: number }) => Behaviour;
  /** Every answer with bytes of a blob, in the order of the requests. */
  sent: SentRange[];
  requests: number;
  /** Connections on which an answer is being sent. */
  open: number;
}

const CHUNK_BYTES = 64 * 1024;

export async function startRangeServer(blobs: Record<string, Uint8Array> = {}): Promise<RangeServer> {
  const http = createServer((request, response) => {
    server.open += 1;
    response.once("close", () => (server.open -= 1));
    // A client that leaves is what half of the tests are about.
    answer(server, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const server: RangeServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    blobs: new Map(Object.entries(blobs)),
    behave: () => ({}),
    sent: [],
    requests: 0,
    open: 0,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return server;
}

async function answer(
  server: RangeServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url ?? "";
  const blob = server.blobs.get(path);
  if (blob === undefined) {
    response.writeHead(404).end();
    return;
  }
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  let start = Number(from);
  let end = to === "" ? blob.length : Number(to) + 1;
  const behaviour = server.behave({ path, start, end, count: server.requests++ });
  if (behaviour.status !== undefined || behaviour.body !== undefined) {
    response.writeHead(behaviour.status ?? 200, behaviour.headers).end(behaviour.body);
    return;
  }
  const partial = request.headers.range !== undefined && behaviour.ignoreRange !== true;
  if (!partial) [start, end] = [0, blob.length];
  start += behaviour.shift ?? 0;
  const bytes = Buffer.concat([
    (behaviour.content ?? blob).subarray(start, end),
    Buffer.alloc(behaviour.extra ?? 0),
  ]);
  const total = behaviour.total ?? blob.length;
  const headers: Record<string, string> = { ...behaviour.headers };
  if (partial) {
    headers["content-range"] =
      `bytes ${start}-${start + bytes.length - 1}/${total === "unknown" ? "*" : total}`;
  }
  if (total !== "unknown")
    headers["content-length"] = String(partial ? bytes.length : Math.max(total, bytes.length));
  response.writeHead(partial ? 206 : 200, headers);
  response.flushHeaders();
  await send(server, response, { path, start, bytes, behaviour });
}

async function send(
  server: RangeServer,
  response: ServerResponse,
  { path, start, bytes, behaviour }: { path: string; start: number; bytes: Uint8Array; behaviour: Behaviour },
): Promise<void> {
  const range = { path, start, end: start };
  server.sent.push(range);
  const { stallAfter = bytes.length + 1, resetAfter = bytes.length + 1, pauseMs } = behaviour;
  const stop = Math.min(stallAfter, resetAfter, bytes.length);
  for (let at = 0; at < stop && !response.destroyed;) {
    const chunk = bytes.subarray(at, Math.min(at + CHUNK_BYTES, stop));
    at += chunk.length;
    range.end = start + at;
    if (!response.write(chunk)) {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          response.off("drain", go).off("close", go);
          resolve();
        };
        response.on("drain", go).on("close", go);
      });
    }
    if (pauseMs !== undefined) await sleep(pauseMs);
  }
  if (resetAfter <= bytes.length) response.destroy();
  else if (stallAfter > bytes.length) response.end();
}

/** Bytes that look random, and are always the same. (n,) uint8 */
export function testBytes(length: number, seed = 1): Buffer {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(length));
}

export function sha256(bytes: Uint8Array): `sha256:${string}` {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
