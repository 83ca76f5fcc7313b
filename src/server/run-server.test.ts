import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { fakeContext, fakePool, type FakeServer } from "../../test/support/fake-server.ts";
import { head, rawClient } from "../../test/support/raw-client.ts";
import { MullError } from "../spec/errors.ts";
import type { ConnectionLimits } from "./listen/connection-limits.ts";
import { MemoryMediaStore } from "./memory-media-store.ts";
import type { ModelPool } from "./model-pool.ts";
import { type RunningServer, runServer } from "./run-server.ts";
import type { RouteModule } from "./route-module.ts";
import type { ServerOptions } from "./server-options.ts";
import { streamEvents, streamNdjson } from "./stream-response.ts";

/** What the routes of one test have seen. */
interface Seen {
  bodies: unknown[];
  signals: AbortSignal[];
  /** Sources of streams that were left. */
  left: number;
}

async function* endless<Item>(seen: Seen, item: () => Promise<Item>): AsyncGenerator<Item> {
  try {
    for (;;) yield await item();
  } finally {
    seen.left += 1;
  }
}

/** @param finish lets the streams of ticks end */
function createRoutes(seen: Seen, finish: AbortSignal): RouteModule {
  async function* ticks(signal: AbortSignal): AsyncGenerator<{ data: number }> {
    const tick = async (): Promise<{ data: number }> => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (signal.aborted) throw new MullError("aborted", "The request was cancelled.");
      return { data: 1 };
    };
    for await (const item of endless(seen, tick)) {
      if (finish.aborted) return;
      yield item;
    }
  }
  return (app, context) => {
    app.post("/api/echo", async (c) => {
      seen.signals.push(c.var.signal);
      seen.bodies.push(await c.var.readJson());
      return c.json({ ok: true });
    });
    app.get("/api/ticks", (c) => streamNdjson(c, context, ticks(c.var.signal)));
    app.get("/v1/ticks", (c) => streamEvents(c, context, ticks(c.var.signal)));
    app.get("/v1/messages/ticks", (c) => streamEvents(c, context, ticks(c.var.signal)));
    app.get("/api/flood", (c) =>
      streamNdjson(
        c,
        context,
        endless(seen, async () => "x".repeat(100_000)),
      ),
    );
    app.get("/api/never", async (c) => {
      seen.signals.push(c.var.signal);
      return new Promise<Response>(() => {});
    });
  };
}

interface Setting {
  url: string;
  server: FakeServer;
  running: RunningServer;
  seen: Seen;
  finish: AbortController;
}

const settings: Setting[] = [];

afterEach(async () => {
  for (const { running, finish } of settings.splice(0)) {
    finish.abort();
    await running.close();
  }
});

async function start(
  options: Partial<ServerOptions> = {},
  limits: Partial<ConnectionLimits> = {},
  models: ModelPool = fakePool(),
): Promise<Setting> {
  const seen: Seen = { bodies: [], signals: [], left: 0 };
  const finish = new AbortController();
  const server = fakeContext({
    options: { drainMs: 200, ...options },
    media: new MemoryMediaStore(),
    models,
  });
  const running = await runServer(server, [createRoutes(seen, finish.signal)], limits);
  const setting = { url: running.url, server, running, seen, finish };
  settings.push(setting);
  return setting;
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 4000; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`Waited in vain for ${condition.toString()}`);
}

/** Reads a few pieces of a stream, and leaves it open. */
async function begin(response: Response): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const reader = response.body!.getReader();
  for (let read = 0; read < 3; read++) await reader.read();
  return reader;
}

async function rest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += Buffer.from(value).toString();
  }
}

describe("a server on a socket", () => {
  it("answers, and logs addresses only as a digest", async () => {
    const { url, server, seen } = await start();
    const response = await fetch(`${url}/api/echo`, { method: "POST", body: '{"a":1}' });
    expect(await response.json()).toEqual({ ok: true });
    expect(seen.bodies).toEqual([{ a: 1 }]);
    await until(() => server.lines.some(({ message }) => message === "request"));
    const fields = server.lines.find(({ message }) => message === "request")?.fields;
    expect(fields).toMatchObject({ method: "POST", route: "/api/echo", status: 200 });
    expect(fields?.["bytes"]).toBeGreaterThan(100);
    expect(JSON.stringify(fields)).not.toContain("127.0.0.1");
  });

  it("keeps connections, and answers what is pipelined in order", async () => {
    const { url } = await start();
    const client = await rawClient(url);
    client.send(`${head("GET", "/health")}\r\n${head("GET", "/nothing", { Connection: "close" })}\r\n`);
    const { text } = await client.closed;
    expect(text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404"]);
  });

  it("says what is wrong with a port", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    await expect(start({ port })).rejects.toMatchObject({
      code: "invalid_argument",
      message: `Port ${port} of 127.0.0.1 is in use already.`,
      hint: expect.stringContaining("--port") as string,
    });
    other.close();
    await expect(start({ host: "203.0.113.1" })).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("gives its pictures' upload a place", async () => {
    const { url } = await start();
    const png = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(3_000_000, 5)]);
    const response = await fetch(`${url}/api/media`, { method: "POST", body: png });
    expect(await response.json()).toMatchObject({ bytes: png.length, format: "png" });
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });
});

describe("Host attacks over a socket", () => {
  it.each([
    ["another name", "GET /health HTTP/1.1\r\nHost: evil.example\r\n", 403],
    ["a name that begins like ours", "GET /health HTTP/1.1\r\nHost: localhost.evil\r\n", 403],
    ["an absolute target", "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n", 403],
    [
      "an absolute target of ours with another Host",
      "GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n",
      403,
    ],
    ["no Host", "GET /health HTTP/1.1\r\n", 400],
    ["no Host in HTTP/1.0", "GET /health HTTP/1.0\r\n", 400],
    ["two Hosts", "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 403],
    ["a Host with a user", "GET /health HTTP/1.1\r\nHost: localhost@evil.example\r\n", 400],
    ["a target that is none", "GET \\\\evil HTTP/1.1\r\nHost: localhost\r\n", 400],
    [
      "both lengths",
      "POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
      400,
    ],
    ["headers without end", `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n`, 431],
    ["our own name", "GET /health HTTP/1.1\r\nHost: LocalHost:11434\r\n", 200],
  ])("%s", async (_, lines, status) => {
    const { url } = await start();
    const client = await rawClient(url);
    client.send(`${lines}Connection: close\r\n\r\n`);
    const { text } = await client.closed;
    expect(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])).toBe(status);
  });
});

describe("bodies over a socket", () => {
  it("100 MB are refused at once, before they are sent", async () => {
    const { url } = await start();
    const client = await rawClient(url, true);
    client.send(`${head("POST", "/api/echo", { "Content-Length": 100_000_000 })}\r\n{"a":"`);
    await until(() => client.received().includes("\r\n\r\n"));
    expect(client.received()).toMatch(/^HTTP\/1\.1 413 /);
    client.socket.destroy();
  });

  it("100 MB that are sent all the same do not become memory, and the client reads why", async () => {
    const { url } = await start();
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const chunk = Buffer.alloc(1_000_000, 120);
    const body = (async function* () {
      for (let sent = 0; sent < 100; sent++) {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
        yield chunk;
      }
    })();
    const response = await fetch(`${url}/api/echo`, {
      method: "POST",
      headers: { "Content-Length": "100000000" },
      body: body as unknown as ReadableStream,
      duplex: "half",
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toEqual({ error: expect.stringContaining("64 MiB") as string });
    expect(most).toBeLessThan(60_000_000);
  });

  it("without a length are cut at the limit", async () => {
    const { url } = await start({ maxBodyBytes: 1_000_000 });
    const client = await rawClient(url, true);
    client.send(`${head("POST", "/api/echo", { "Transfer-Encoding": "chunked" })}\r\n`);
    for (let sent = 0; sent < 12; sent++) client.send(`186a0\r\n${"x".repeat(100_000)}\r\n`);
    await until(() => client.received().includes("\r\n\r\n"));
    expect(client.received()).toMatch(/^HTTP\/1\.1 413 /);
    client.socket.destroy();
  });

  it("are asked for with 100 Continue only if they will be read", async () => {
    const { url } = await start({ maxBodyBytes: 1000 });
    const ask = async (length: number): Promise<string> => {
      const client = await rawClient(url);
      client.send(`${head("POST", "/api/echo", { "Content-Length": length, Expect: "100-continue" })}\r\n`);
      await until(() => client.received().includes("\r\n\r\n"));
      const [first = ""] = client.received().split("\r\n");
      if (first.includes("100")) {
        client.send('{"a":1}');
        await until(() => client.received().includes('{"ok":true}'));
      }
      client.socket.destroy();
      return first;
    };
    expect(await ask(7)).toBe("HTTP/1.1 100 Continue");
    expect(await ask(1001)).toMatch(/^HTTP\/1\.1 413/);
  });

  it("of megabytes are parsed in the worker, while others are answered", async () => {
    const { url, seen } = await start();
    const png = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(6_000_000, 5)]);
    const body = JSON.stringify({ images: [png.toString("base64")] });
    const [response, health] = await Promise.all([
      fetch(`${url}/api/echo`, { method: "POST", body }),
      fetch(`${url}/health`),
    ]);
    expect([response.status, health.status]).toEqual([200, 200]);
    const [{ images }] = seen.bodies as [{ images: Uint8Array[] }];
    expect(images.map((image) => png.equals(image))).toEqual([true]);
  });
});

const FAST: Partial<ConnectionLimits> = {
  checkMs: 10,
  bodySpanMs: 100,
  leastBodyBytes: 1000,
  headersTimeoutMs: 100,
};

describe("slow clients", () => {
  it("who drip headers are cut off", async () => {
    const { url } = await start({}, FAST);
    const client = await rawClient(url);
    const drip = setInterval(() => client.send("X-A: b\r\n"), 10);
    client.send(head("GET", "/health"));
    const { text } = await client.closed;
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("who say nothing at all are cut off", async () => {
    const { url } = await start({}, FAST);
    const client = await rawClient(url);
    await client.closed;
    expect(client.socket.destroyed).toBe(true);
  });

  it("who drip a body are told, and cut off", async () => {
    const { url, seen } = await start({}, FAST);
    const client = await rawClient(url);
    client.send(`${head("POST", "/api/echo", { "Content-Length": 100_000 })}\r\n`);
    const drip = setInterval(() => client.send("x"), 10);
    const { text } = await client.closed;
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1\.1 504 [^]*The body of the request came too slowly\./);
    await until(() => seen.signals[0]?.aborted === true);
  });

  it("who are slow, but move, are served", async () => {
    const { url } = await start({}, FAST);
    const client = await rawClient(url);
    const body = JSON.stringify({ a: "x".repeat(20_000) });
    client.send(`${head("POST", "/api/echo", { "Content-Length": body.length, Connection: "close" })}\r\n`);
    for (let at = 0; at < body.length; at += 1000) {
      client.send(body.slice(at, at + 1000));
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    expect((await client.closed).text).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("who do not read their answer lose it, and the source is left", async () => {
    const { url, seen } = await start({}, { checkMs: 10, writeStallMs: 100 });
    const client = await rawClient(url);
    client.socket.pause();
    client.send(`${head("GET", "/api/flood")}\r\n`);
    await until(() => seen.left === 1);
    client.socket.resume();
    await client.closed;
    expect(seen.left).toBe(1);
  });
});

describe("many connections", () => {
  it("over the limit are refused politely, and the others keep working", async () => {
    const { url, server } = await start({}, { connections: 50 });
    const held = await Promise.all(Array.from({ length: 50 }, () => rawClient(url)));
    const answers = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const client = await rawClient(url);
        client.send(`${head("GET", "/health", { Connection: "close" })}\r\n`);
        return client.closed;
      }),
    );
    expect(answers.filter(({ error }) => error !== undefined)).toEqual([]);
    for (const { text } of answers)
      expect(text).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 1[^]*too many connections/);
    expect(server.counts.get("rejected_total{reason=connections}")).toBe(500);
    for (const client of held) client.send(`${head("GET", "/health", { Connection: "close" })}\r\n`);
    for (const client of held) expect((await client.closed).text).toMatch(/^HTTP\/1\.1 200 /);
    // Room again.
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it("are refused so that an HTTP client reads why", async () => {
    const { url } = await start({}, { connections: 1 });
    const held = await rawClient(url);
    const [response] = (await once(httpRequest(`${url}/health`, { agent: false }).end(), "response")) as [
      NodeJS.ReadableStream & { statusCode: number },
    ];
    expect(response.statusCode).toBe(503);
    response.resume();
    held.socket.destroy();
  });

  it("500 at once are all answered when there is room", async () => {
    const { url, seen } = await start();
    const statuses = await Promise.all(
      Array.from({ length: 500 }, async (_, index) => {
        const body = JSON.stringify({ index });
        return (await fetch(`${url}/api/echo`, { method: "POST", body })).status;
      }),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(seen.bodies).toHaveLength(500);
  });
});

describe("clients who leave", () => {
  it("cancel their stream", async () => {
    const { url, server, seen } = await start();
    const leave = new AbortController();
    const response = await fetch(`${url}/api/ticks`, { signal: leave.signal });
    await begin(response);
    leave.abort();
    await until(() => seen.left === 1);
    await until(() => server.lines.some(({ message }) => message === "request"));
    expect(server.lines.find(({ message }) => message === "request")?.fields["status"]).toBe(499);
  });

  it("cancel what they wait for", async () => {
    const { url, seen } = await start();
    const leave = new AbortController();
    const response = fetch(`${url}/api/never`, { signal: leave.signal });
    await until(() => seen.signals.length === 1);
    leave.abort();
    await expect(response).rejects.toBeInstanceOf(Error);
    await until(() => seen.signals[0]?.aborted === true);
    expect(seen.signals[0]?.reason).toMatchObject({ code: "aborted" });
  });

  it("in the middle of their body leave nothing behind", async () => {
    const { url, server, seen } = await start();
    const client = await rawClient(url);
    client.send(`${head("POST", "/api/echo", { "Content-Length": 1000 })}\r\n{"a":`);
    await until(() => seen.signals.length === 1);
    client.socket.destroy();
    await until(() => server.lines.some(({ message }) => message === "request"));
    expect(seen.signals[0]?.aborted).toBe(true);
    expect(server.lines.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
  });
});

describe("the end of a server", () => {
  it("lets running answers finish, and takes nothing new", async () => {
    const { url, running: ending, finish } = await start({ drainMs: 60_000 });
    const client = await rawClient(url);
    client.send(`${head("GET", "/health")}\r\n`);
    await until(() => client.received().includes('"ok"'));
    const reader = await begin(await fetch(`${url}/api/ticks`));
    const end = ending.close();
    expect(ending.close()).toBe(end);
    await expect(fetch(`${url}/health`)).rejects.toBeInstanceOf(Error);
    finish.abort();
    expect(await rest(reader)).not.toContain("error");
    await end;
    await client.closed;
  });

  it("cuts what takes too long, with the error of the dialect", async () => {
    const closed: number[] = [];
    const models = { ...fakePool(), close: async (drainMs: number) => void closed.push(drainMs) };
    const { running: ending, seen } = await start({ drainMs: 30 }, {}, models);
    const readers = [];
    for (const path of ["/api/ticks", "/v1/ticks", "/v1/messages/ticks"]) {
      readers.push(await begin(await fetch(ending.url + path)));
    }
    const never = fetch(`${ending.url}/api/never`);
    await until(() => seen.signals.length === 1);
    const end = ending.close();
    const message = "The server was told to end before this answer was complete.";
    const [ollama, openai, anthropic] = await Promise.all(readers.map(rest));
    expect(ollama?.endsWith(`\n{"error":"${message}"}\n`)).toBe(true);
    expect(openai).toMatch(/data: \{"error":\{"message":"The server was told to end [^\n]*\}\}\n\n$/);
    expect(anthropic).toMatch(/event: error\ndata: \{"type":"error","error":[^\n]*told to end[^\n]*\}\n\n$/);
    expect((await never).status).toBe(503);
    await end;
    expect(closed).toEqual([0]);
  });

  it("does not wait for clients who never read", async () => {
    const { url, running: ending, seen } = await start({ drainMs: 20 });
    const client = await rawClient(url);
    client.socket.pause();
    client.send(`${head("GET", "/api/flood")}\r\n`);
    await until(() => client.socket.bytesRead > 0);
    await ending.close();
    client.socket.resume();
    await client.closed;
    expect(seen.left).toBe(1);
  });
});
