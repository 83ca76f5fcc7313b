import http, { type IncomingMessage } from "node:http";
import { MullError } from "../spec/errors.ts";

export interface RequestOptions {
  method: "GET" | "POST" | "DELETE";
  headers: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  signal?: AbortSignal;
  /** How long a connection may take to open. Default 10 s. */
  connectMs?: number;
}

/** A peer that vanished without a word is noticed after some of these. */
const KEEP_ALIVE_PROBE_MS = 30_000;

/**
 * Sends one request and resolves when the head of its response is there.
 *
 * Not `fetch`: that gives up 300 s after the last byte, and a question may wait longer than that in the queue of a
 * busy server. Here only opening the connection has a time limit; a dead peer is noticed by TCP. Every request has a
 * connection of its own, so none fails because the server closed an idle one at the same moment.
 *
 * @returns the response, unread: read it to its end or destroy it
 * @throws MullError `server_unreachable`, `aborted`
 */
export async function sendRequest(url: URL, options: RequestOptions): Promise<IncomingMessage> {
  const { method, headers, body, signal, connectMs = 10_000 } = options;
  if (signal?.aborted === true) throw aborted(signal);
  const { request: open } = url.protocol === "https:" ? await import("node:https") : http;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const request = open(url, { method, headers: { ...headers, ...length }, agent: false });
    const timer = setTimeout(
      () => request.destroy(new Error(`no connection within ${connectMs} ms`)),
      connectMs,
    );
    const cancel = (): void => void request.destroy();
    signal?.addEventListener("abort", cancel, { once: true });
    request.on("socket", (socket) => {
      socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
      socket.once(url.protocol === "https:" ? "secureConnect" : "connect", () => clearTimeout(timer));
    });
    request.on("response", (response) => {
      // What fails from here on fails for whoever reads the response.
      response.once("close", () => signal?.removeEventListener("abort", cancel));
      resolve(response);
    });
    request.on("error", (error) => {
      signal?.removeEventListener("abort", cancel);
      reject(signal?.aborted === true ? aborted(signal) : unreachable(url, error));
    });
    request.on("close", () => clearTimeout(timer));
    request.end(body);
  });
}

/** The error of a request whose caller gave up. */
export function aborted(signal: AbortSignal): MullError {
  const { reason } = signal;
  if (MullError.is(reason)) return reason;
  return new MullError("aborted", "The request was cancelled.", { cause: reason });
}

/** The error of a server that cannot be reached. */
function unreachable(url: URL, error: Error): MullError {
  const { code } = error as NodeJS.ErrnoException;
  const message =
    code === "ECONNREFUSED"
      ? `No server answers at ${url.host}.`
      : `The server at ${url.host} cannot be reached: ${error.message}.`;
  return new MullError("server_unreachable", message, {
    hint: "Start one with `mull serve`. MULL_HOST names the address of another.",
    cause: error,
  });
}
