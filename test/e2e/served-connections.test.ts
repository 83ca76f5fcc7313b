import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { head, rawClient } from "../support/raw-client.ts";
import {
  killServersAtEnd,
  metricOf,
  type ServedCommand,
  startServe,
  until,
} from "../support/served-command.ts";
import { answer, DIALECTS } from "../support/wire-dialects.ts";

/** What the real command does with connections that mean no good, at its own limits. */
killServersAtEnd();
let server: ServedCommand;

beforeAll(async () => {
  server = await startServe(["--log-level", "warn"]);
  await expectAnswer();
});

afterAll(() => server?.[Symbol.asyncDispose]());

async function expectAnswer(): Promise<void> {
  for (const dialect of DIALECTS) {
    expect(await answer(server, dialect, { text: "Who are you?" })).toMatch(/I am pico/);
  }
}

describe("slow clients", () => {
  it("with headers, bodies, or nothing at all, are cut off while others are answered", async () => {
    const headers = await rawClient(server.url);
    headers.send(head("POST", "/api/chat"));
    const body = await rawClient(server.url);
    body.send(`${head("POST", "/v1/chat/completions", { "Content-Length": 100_000 })}\r\n{"model":`);
    const chunked = await rawClient(server.url);
    chunked.send(`${head("POST", "/v1/messages", { "Transfer-Encoding": "chunked" })}\r\n`);
    const silent = await rawClient(server.url);
    const drip = setInterval(() => {
      headers.send("X-A: b\r\n");
      body.send(" ");
      chunked.send("1\r\n \r\n");
    }, 200);
    try {
      await expectAnswer();
      const ends = await Promise.all([headers, body, chunked, silent].map(({ closed }) => closed));
      expect(ends[0]?.text).toMatch(/^HTTP\/1\.1 408 /);
      expect(ends[1]?.text).toMatch(
        /^HTTP\/1\.1 504 [^]*"error":\{"message":"The body of the request came too slowly/,
      );
      expect(ends[2]?.text).toMatch(/^HTTP\/1\.1 504 [^]*"type":"error"[^]*too slowly/);
    } finally {
      clearInterval(drip);
    }
    await expectAnswer();
  });
});

describe("many connections", () => {
  it("1,500 at once are each answered or told to come back, and none hangs", async () => {
    const [{ path, ask }] = DIALECTS as [(typeof DIALECTS)[number]];
    const question = JSON.stringify(ask({ text: "Who are you?", tokens: 4 }));
    const clients = await Promise.all(Array.from({ length: 1500 }, () => rawClient(server.url)));
    // Nobody says anything yet, so the server has to hold them all, and must refuse those over its 1024.
    await until(() => clients.filter((client) => client.received() !== "").length >= 476, "the refusals");
    const meanwhile = clients.map(async (client, index) => {
      client.send(
        index % 10 === 0
          ? `${head("POST", path, { "Content-Length": question.length, Connection: "close" })}\r\n${question}`
          : `${head("GET", "/health", { Connection: "close" })}\r\n`,
      );
      const { text } = await client.closed;
      return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
    });
    const statuses = await Promise.all(meanwhile);
    const count = (status: number): number => statuses.filter((each) => each === status).length;
    expect(count(200) + count(503)).toBe(1500);
    // Others of this file may hold some of the 1024.
    expect(count(200)).toBeGreaterThan(900);
    expect(count(503)).toBeGreaterThanOrEqual(476);
    await until(
      async () => (await metricOf(server.url, "mull_http_connections")) < 20,
      "connections to close",
    );
    await expectAnswer();
  });
});

describe("another Host", () => {
  it("is refused on every route, whatever the method", async () => {
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(
        (method) => [method.toUpperCase(), path.replaceAll(/\{[^}]+\}/g, "x")] as const,
      ),
    );
    expect(routes.length).toBeGreaterThan(20);
    const extra = ["/", "/openapi.json", "/nothing", "/v1/nothing"].flatMap((path) =>
      ["GET", "HEAD", "OPTIONS", "POST", "DELETE"].map((method) => [method, path] as const),
    );
    for (const [method, path] of [...routes, ...extra]) {
      for (const host of ["evil.example", "localhost.evil.example:11434", "127.0.0.1.evil.example"]) {
        const client = await rawClient(server.url);
        client.send(`${head(method, path, { Host: host, Connection: "close", "Content-Length": 2 })}\r\n{}`);
        const { text } = await client.closed;
        expect([method, path, host, text.slice(0, 12)]).toEqual([method, path, host, "HTTP/1.1 403"]);
        expect(text).not.toMatch(/Access-Control/i);
      }
      const page = await rawClient(server.url);
      page.send(
        `${head(method, path, { Origin: "https://evil.example", Connection: "close", "Content-Length": 2 })}\r\n{}`,
      );
      const { text } = await page.closed;
      expect([method, path, text.slice(0, 12)]).toEqual([method, path, "HTTP/1.1 403"]);
      expect(text).not.toMatch(/Access-Control/i);
    }
    await expectAnswer();
  });
});
