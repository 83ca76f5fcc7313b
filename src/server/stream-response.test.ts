import { describe, expect, it } from "vitest";
import { type FakeServer, fakeContext } from "../../test/support/fake-server.ts";
import { MullError } from "../spec/errors.ts";
import { createApp } from "./create-app.ts";
import type { ServerOptions } from "./server-options.ts";
import { streamEvents, streamNdjson } from "./stream-response.ts";

type Source = (signal: AbortSignal) => AsyncGenerator;

/** Serves a source in the manner of each dialect. */
async function ask(
  path: "/api/x" | "/v1/x" | "/v1/messages/x" | "/v1/own",
  source: Source,
  init: RequestInit & { options?: Partial<ServerOptions> } = {},
): Promise<{ response: Response; server: FakeServer }> {
  const server = fakeContext({ options: init.options ?? {} });
  const app = createApp(server, [
    (routes) => {
      routes.get("/api/x", (c) => streamNdjson(c, server, source(c.var.signal)));
      const events = async function* (
        signal: AbortSignal,
      ): AsyncGenerator<{ event?: string; data: unknown }> {
        for await (const data of source(signal))
          yield data === "named" ? { event: "name", data: "a\nb" } : { data };
      };
      for (const route of ["/v1/x", "/v1/messages/x"]) {
        routes.get(route, (c) => streamEvents(c, server, events(c.var.signal)));
      }
      routes.get("/v1/own", (c) =>
        streamEvents(c, server, events(c.var.signal), {
          onError: (error) => [{ event: "failed", data: { code: error.code } }, { data: "[DONE]" }],
        }),
      );
    },
  ]);
  return { response: await app.request(path, init), server };
}

async function* items(...values: unknown[]): AsyncGenerator {
  yield* values;
}

async function* failsAfter(error: unknown, ...values: unknown[]): AsyncGenerator {
  yield* values;
  throw error;
}

describe("a stream", () => {
  it("is NDJSON for Ollama", async () => {
    const { response } = await ask("/api/x", () => items({ a: 1 }, { b: "\n" }));
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toBe('{"a":1}\n{"b":"\\n"}\n');
  });

  it("is server-sent events for OpenAI", async () => {
    const { response } = await ask("/v1/x", () => items({ a: 1 }, "named", "[DONE]"));
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(await response.text()).toBe('data: {"a":1}\n\nevent: name\ndata: a\ndata: b\n\ndata: [DONE]\n\n');
  });

  it("may be empty", async () => {
    const { response } = await ask("/api/x", () => items());
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });

  it("asks its source only for what is read", async () => {
    let asked = 0;
    const { response } = await ask("/api/x", async function* () {
      for (;;) yield ++asked;
    });
    const reader = response.body!.getReader();
    for (let read = 0; read < 3; read++) await reader.read();
    expect(asked).toBeLessThanOrEqual(4);
    await reader.cancel();
  });
});

describe("an error", () => {
  const error = new MullError("engine_crashed", "The engine died over /home/alice/x.gguf.");

  it("before the first item has its status", async () => {
    const { response } = await ask("/v1/x", () => failsAfter(error));
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: "engine_crashed" } });
  });

  it("after it ends the stream in the words of the dialect", async () => {
    const texts = [];
    for (const path of ["/api/x", "/v1/x", "/v1/messages/x", "/v1/own"] as const) {
      const { response, server } = await ask(path, () => failsAfter(error, 1));
      texts.push(await response.text());
      expect(server.lines.some(({ level }) => level === "warn")).toBe(true);
    }
    const [ndjson, openai, anthropic, own] = texts as [string, string, string, string];
    expect(ndjson).toBe('1\n{"error":"The engine died over a file."}\n');
    expect(openai).toMatch(/^data: 1\n\ndata: \{"error":\{"message":"The engine died.*\}\}\n\n$/);
    expect(anthropic).toMatch(/^data: 1\n\nevent: error\ndata: \{"type":"error","error":\{.*\}\}\n\n$/);
    expect(own).toBe('data: 1\n\nevent: failed\ndata: {"code":"engine_crashed"}\n\ndata: [DONE]\n\n');
  });

  it("that was not foreseen is not shown", async () => {
    const { response } = await ask("/api/x", () => failsAfter(new TypeError("secret"), 1));
    expect(await response.text()).not.toContain("secret");
  });

  it("that nobody can print ends the stream", async () => {
    const { response } = await ask("/api/x", () => items(1, 2n));
    expect(await response.text()).toMatch(/^1\n\{"error":"The server failed in an unforeseen way/);
  });
});

describe("leaving", () => {
  it("the source is left when the reader goes away", async () => {
    let left = false;
    const { response } = await ask("/api/x", async function* () {
      try {
        for (;;) yield 1;
      } finally {
        left = true;
      }
    });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(left).toBe(true);
  });

  it("a source that hangs is cut off by the deadline, with the reason", async () => {
    const hangs: Source = async function* () {
      yield 1;
      await new Promise(() => {});
    };
    const { response } = await ask("/api/x", hangs, { options: { requestTimeoutMs: 20 } });
    expect(await response.text()).toBe('1\n{"error":"The request took longer than 0.02 s."}\n');
  });

  it("a source that heeds the signal is told why in the same way", async () => {
    const heeds: Source = async function* (signal) {
      yield 1;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new MullError("aborted", "The request was cancelled.");
    };
    const { response } = await ask("/v1/x", heeds, { options: { requestTimeoutMs: 20 } });
    expect(await response.text()).toContain('"code":"timeout"');
  });
});
