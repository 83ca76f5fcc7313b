import { createServer, type IncomingMessage, request as ask, Agent, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What the proxy does with one request; without any of it, it passes on request and answer as they are. */
export interface Fault {
  /** Instead of what the registry says. */
  answer?: { status?: number; headers?: Record<string, string>; body?: string | Uint8Array };
  /** Changes the registry's answer; a header that is undefined is left out. */
  headers?: Record<string, string | undefined>;
  /** Changes the bytes of an answer. @param offset in the blob */
  bytes?: (chunk: Buffer, offset: number) => Buffer;
  /** Sends so many bytes of the answer's body, and then it ends it so: */
  after?: { bytes: number; how: "close" | "reset" | "stall" };
  /** Passes on so many bytes of the request's body, then breaks both connections. */
  cutUploadAfter?: number;
}

export interface SeenRequest {
  method: string;
  path: string;
  /** "manifest", "blob", "upload", or "other". */
  what: "manifest" | "blob" | "upload" | "other";
  /** Of a blob; "" for the rest. */
  digest: string;
  /** The range that was asked for, in bytes; without an end: to the end of the blob. */
  start: number;
  end: number | undefined;
  authorization: string | undefined;
  /** Of its body, passed on to the registry. */
  uploaded: number;
  /** Of the body of the answer. */
  sent: number;
}

export interface FaultyProxy extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  host: string;
  /** Asked before a request is passed on; `count` from 0. It may keep the request waiting. */
  fault: (request: SeenRequest, count: number) => Fault | undefined | Promise<Fault | undefined>;
  seen: SeenRequest[];
  /** Of all blobs together, over all connections. Default: as fast as it goes. */
  bytesPerSecond: number;
  /** Told after every chunk of a blob how many bytes of blobs were sent in all. */
  onBytes: (total: number) => void;
  /** Without faults, at full speed, nothing seen yet. */
  reset: () => void;
}

/** A proxy on loopback in front of a registry, for the faults of networks and registries. */
export async function startFaultyProxy(registry: string): Promise<FaultyProxy> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, response) => {
    // A client that leaves, or a registry that does, is what the tests are about.
    exchange(incoming, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  let blobBytes = 0;
  let busyUntil = 0;

  const proxy: FaultyProxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: () => undefined,
    seen: [],
    bytesPerSecond: Number.POSITIVE_INFINITY,
    onBytes: () => {},
    reset() {
      Object.assign(proxy, {
        fault: () => undefined,
        seen: [],
        bytesPerSecond: Number.POSITIVE_INFINITY,
        onBytes: () => {},
      });
      blobBytes = 0;
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;

  async function exchange(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = describe(incoming);
    const count = proxy.seen.push(seen) - 1;
    const fault = (await proxy.fault(seen, count)) ?? {};
    if (fault.answer !== undefined) {
      const { status = 200, headers = {}, body = "" } = fault.answer;
      incoming.resume();
      response.writeHead(status, headers).end(body);
      return;
    }
    const answer = await passOn(incoming, response, seen, fault);
    if (answer === undefined) return;
    const { "transfer-encoding": _, connection: __, ...headers } = answer.headers;
    const changed = Object.entries({ ...headers, ...fault.headers }).filter(
      ([, value]) => value !== undefined,
    );
    response.strictContentLength = false;
    response.writeHead(answer.statusCode ?? 502, Object.fromEntries(changed) as Record<string, string>);
    await sendBody(answer, response, seen, fault);
  }

  /** Undefined when the connection was cut. */
  async function passOn(
    incoming: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    { cutUploadAfter = Number.POSITIVE_INFINITY }: Fault,
  ): Promise<IncomingMessage | undefined> {
    const [address = "", port] = registry.split(":");
    const upstream = ask({
      agent,
      host: address,
      port,
      method: seen.method,
      path: seen.path,
      headers: incoming.headers,
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      upstream.on("response", resolve).on("error", reject);
    });
    answered.catch(() => {});
    response.on("close", () => upstream.destroy());
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, cutUploadAfter - seen.uploaded);
      seen.uploaded += part.length;
      if (!upstream.write(part)) await drained(upstream);
      if (seen.uploaded < cutUploadAfter) continue;
      // The registry has what was passed on before it notices that no more comes.
      await sleep(50);
      upstream.destroy();
      response.destroy();
      return undefined;
    }
    upstream.end();
    return answered;
  }

  async function sendBody(
    answer: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    { after, bytes = (chunk) => chunk }: Fault,
  ): Promise<void> {
    response.flushHeaders();
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const left = (after?.bytes ?? Number.POSITIVE_INFINITY) - seen.sent;
      const part = bytes(chunk, seen.start + seen.sent).subarray(0, left);
      if (seen.what === "blob") await waitForTurn(part.length);
      if (response.destroyed) return;
      seen.sent += part.length;
      if (!response.write(part)) await drained(response);
      if (seen.what === "blob") proxy.onBytes((blobBytes += part.length));
      if (after === undefined || seen.sent < after.bytes) continue;
      answer.destroy();
      if (after.how === "stall") return;
      if (after.how === "reset") (response.socket as Socket).resetAndDestroy();
      else response.destroy();
      return;
    }
    response.end();
  }

  async function waitForTurn(bytes: number): Promise<void> {
    const { bytesPerSecond } = proxy;
    if (!Number.isFinite(bytesPerSecond)) return;
    busyUntil = Math.max(busyUntil, performance.now()) + (1000 * bytes) / bytesPerSecond;
    await sleep(busyUntil - performance.now());
  }
}

function describe(incoming: IncomingMessage): SeenRequest {
  const { method = "", url: path = "", headers } = incoming;
  const [, folder = "", last = ""] = /^\/v2\/.*\/(manifests|blobs|uploads)\/([^?]*)/.exec(path) ?? [];
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  const kinds: Record<string, SeenRequest["what"]> = {
    manifests: "manifest",
    blobs: "blob",
    uploads: "upload",
  };
  return {
    method,
    path,
    what: kinds[folder] ?? "other",
    digest: folder === "blobs" ? last : "",
    start: Number(from),
    end: to === "" ? undefined : Number(to) + 1,
    authorization: headers.authorization,
    uploaded: 0,
    sent: 0,
  };
}

/** Also when it was closed instead. */
async function drained(stream: NodeJS.WritableStream): Promise<void> {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      stream.off("drain", go).off("close", go);
      resolve();
    };
    stream.on("drain", go).on("close", go);
  });
}
