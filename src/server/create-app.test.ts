import { createRoute, z } from "@hono/zod-openapi";
import { describe, expect, it } from "vitest";
import { type FakeServer, fakeContext } from "../../test/support/fake-server.ts";
import { MullError } from "../spec/errors.ts";
import { createApp } from "./create-app.ts";
import { readBody } from "./read-body.ts";
import { addRoute, jsonBody, jsonResponse, type RouteModule, type ServerApp } from "./route-module.ts";
import { ServerLifetime } from "./server-lifetime.ts";
import type { ServerOptions } from "./server-options.ts";

const Echo = z.object({
  model: z.string(),
  messages: z
    .array(
      z.object({
        role: z.enum(["user", "assistant"]),
        content: z.union([z.string(), z.array(z.object({ type: z.literal("text"), text: z.string() }))]),
      }),
    )
    .optional(),
});

/** Routes of each dialect: one that answers with its body, one that fails as it is told. */
const routes: RouteModule = (app) => {
  for (const path of ["/api/echo", "/v1/echo", "/v1/messages"]) {
    const route = createRoute({
      method: "post",
      path,
      request: { body: jsonBody(Echo) },
      responses: { 200: jsonResponse(Echo, "The same.") },
    });
    addRoute(app, route, async (c) => c.json({ ...(await readBody(c, Echo)), client: c.var.client }));
  }
  for (const path of ["/api/fail/:code", "/v1/fail/:code", "/v1/messages/fail/:code"]) {
    app.get(path, (c) => {
      throw new MullError(c.req.param("code") as "internal", "It broke over /home/alice/models/pico.gguf.", {
        details: { retryAfterSeconds: 1.5, secret: "/home/alice" },
      });
    });
  }
};

function start(options: Partial<ServerOptions> = {}): { app: ServerApp; server: FakeServer } {
  const server = fakeContext({ options });
  return { app: createApp(server, [routes]), server };
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): [string, RequestInit] {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return [path, { method: "POST", body: text, headers: { "Content-Type": "application/json", ...headers } }];
}

async function errorOf(response: Response | Promise<Response>): Promise<[number, string]> {
  const settled = await response;
  return [settled.status, await settled.text()];
}

describe("routes", () => {
  it("answers a body that fits its schema", async () => {
    const response = await start().app.request(...post("/api/echo", { model: "pico" }));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ model: "pico", client: "" });
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("describes them", async () => {
    const response = await start().app.request("/openapi.json");
    const document = (await response.json()) as { paths: Record<string, unknown> };
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(["/health", "/api/echo", "/v1/messages"]),
    );
  });

  it("takes a request id that a log can hold, and makes one otherwise", async () => {
    const { app } = start();
    const given = await app.request("/health", { headers: { "X-Request-Id": "abc-1" } });
    expect(given.headers.get("x-request-id")).toBe("abc-1");
    const made = await app.request("/health", { headers: { "X-Request-Id": 'a"b' } });
    expect(made.headers.get("x-request-id")).toMatch(/^[\w-]{12}$/);
  });
});

describe("errors in the dialect of the path", () => {
  it("Ollama: a string", async () => {
    const response = await start().app.request("/api/fail/model_not_found");
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "It broke over model pico:latest." });
  });

  it("OpenAI: an object with four fields", async () => {
    const response = await start().app.request("/v1/fail/context_overflow");
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: "It broke over model pico:latest.",
        type: "invalid_request_error",
        param: null,
        code: "context_length_exceeded",
      },
    });
  });

  it("Anthropic: a type and an object", async () => {
    const response = await start().app.request("/v1/messages/fail/rate_limited");
    expect(response.status).toBe(429);
    expect(await response.json()).toEqual({
      type: "error",
      error: { type: "rate_limit_error", message: "It broke over model pico:latest." },
    });
  });

  it("says when to come back", async () => {
    const { app } = start();
    expect((await app.request("/api/fail/server_busy")).headers.get("retry-after")).toBe("2");
    expect((await app.request("/v1/fail/rate_limited")).headers.get("retry-after")).toBe("2");
    expect((await app.request("/v1/fail/invalid_model")).headers.get("retry-after")).toBeNull();
  });

  it.each([
    "/api/fail/internal",
    "/v1/fail/internal",
    "/v1/messages/fail/internal",
    "/api/fail/engine_crashed",
  ])("%s tells nothing of this machine", async (path) => {
    const { app, server } = start();
    const [status, text] = await errorOf(app.request(path));
    expect(status).toBe(500);
    expect(text).not.toMatch(/alice|secret/);
    expect(server.lines.some(({ level }) => level === "error" || level === "warn")).toBe(true);
  });

  it("answers an unforeseen error, and keeps its words for the log", async () => {
    const server = fakeContext();
    const app = createApp(server, [
      (routesOf) =>
        void routesOf.get("/api/broken", () => {
          throw new TypeError("undefined is not a secret");
        }),
    ]);
    const [status, text] = await errorOf(app.request("/api/broken"));
    expect(status).toBe(500);
    expect(text).not.toContain("secret");
    expect(server.lines.find(({ level }) => level === "error")?.fields["message"]).toContain("secret");
  });

  it("refuses paths and methods that are not there", async () => {
    const { app } = start();
    expect(await errorOf(app.request("/api/nothing"))).toEqual([
      404,
      '{"error":"There is no /api/nothing here. GET /openapi.json lists what there is."}',
    ]);
    expect(JSON.parse((await errorOf(app.request("/v1/nothing")))[1])).toMatchObject({
      error: { code: "unknown_url" },
    });
    const response = await app.request("/api/echo");
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("OPTIONS, POST");
    expect((await app.request("/api/echo", { method: "PROPFIND" })).status).toBe(405);
    const head = await app.request("/health", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await app.request("/v1/fail/x", { method: "DELETE" })).headers.get("allow")).toBe(
      "GET, HEAD, OPTIONS",
    );
  });
});

describe("bodies", () => {
  it.each([
    ["", "missing request body"],
    ['{"model": "pico"', "it ends too early at line 1, column 17"],
    ['{"model":\n hello}', "expected a value at line 2, column 2"],
    ["[]", "The body: expected object, received array."],
    ["{}", "model is required."],
    ['{"model": 1}', "model: expected string, received number."],
    ['{"model": "m", "messages": [{"role": "user"}]}', "messages[0].content is required."],
    [
      '{"model": "m", "messages": [{"role": "user", "content": 3}]}',
      "messages[0].content: expected string or array.",
    ],
    [
      '{"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}',
      "messages[0].content[0].text is required.",
    ],
    ['{"model": "m", "messages": [{"role": "king", "content": ""}]}', "messages[0].role: invalid option"],
  ])("refuses %j", async (body, complaint) => {
    const [status, text] = await errorOf(start().app.request(...post("/api/echo", body)));
    expect(status).toBe(400);
    expect((JSON.parse(text) as { error: string }).error).toContain(complaint);
  });

  it("names the place for OpenAI's clients", async () => {
    const [, text] = await errorOf(start().app.request(...post("/v1/echo", { model: "m", messages: [{}] })));
    expect(JSON.parse(text)).toMatchObject({ error: { param: "messages[0].role" } });
  });

  it("refuses what is over the limit, announced or not", async () => {
    const { app } = start({ maxBodyBytes: 1000 });
    const big = JSON.stringify({ model: "m".repeat(1000) });
    expect((await errorOf(app.request(...post("/api/echo", big))))[0]).toBe(413);
    expect((await errorOf(app.request(...post("/api/echo", "{}", { "Content-Length": "1001" }))))[0]).toBe(
      413,
    );
  });

  it("reads JSON from curl, whatever it calls it, but not from a web page", async () => {
    const { app } = start({ allowedOrigins: ["https://chat.example"] });
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    expect((await app.request(...post("/api/echo", { model: "m" }, form))).status).toBe(200);
    const origin = { Origin: "https://chat.example" };
    expect((await app.request(...post("/api/echo", { model: "m" }, { ...form, ...origin }))).status).toBe(
      415,
    );
    const json = { "Content-Type": "application/json; charset=utf-8", ...origin };
    expect((await app.request(...post("/api/echo", { model: "m" }, json))).status).toBe(200);
  });

  it("refuses compressed bodies", async () => {
    const [status] = await errorOf(
      start().app.request(...post("/api/echo", "{}", { "Content-Encoding": "gzip" })),
    );
    expect(status).toBe(415);
  });
});

describe("Host", () => {
  it.each([
    "localhost",
    "LOCALHOST:11434",
    "127.0.0.1",
    "127.0.0.1:1",
    "[::1]:11434",
    "mull.example",
    "10.0.0.5:80",
  ])("%s is this server", async (host) => {
    const { app } = start({ host: "10.0.0.5", allowedHosts: ["Mull.Example"] });
    expect((await app.request("/health", { headers: { Host: host } })).status).toBe(200);
  });

  it.each([
    "evil.example",
    "localhost.evil",
    "127.0.0.1.nip.io",
    "evil.example:11434",
    "localhost.",
    "127.0.0.2",
    "[::ffff:127.0.0.1]",
    "[::]",
    "0.0.0.0",
    "localhost:1:2",
    "localhost@evil.example",
    "",
    "a b",
  ])("%j is not", async (host) => {
    for (const options of [{}, { host: "0.0.0.0", apiKeys: ["k"] }]) {
      const { app } = start(options);
      for (const path of ["/health", "/api/echo", "/nothing"]) {
        expect((await app.request(path, { headers: { Host: host } })).status).toBe(403);
      }
    }
  });

  it("checks the host of an absolute request target too", async () => {
    const { app } = start();
    const response = await app.request("http://evil.example/health", { headers: { Host: "localhost" } });
    expect(response.status).toBe(403);
  });
});

describe("Origin", () => {
  const allowed: Partial<ServerOptions> = {
    allowedOrigins: ["https://chat.example", "chrome-extension://*"],
  };

  it("lets no other web page in, on any route", async () => {
    const { app, server } = start(allowed);
    for (const path of ["/health", "/api/echo", "/openapi.json"]) {
      for (const origin of [
        "https://evil.example",
        "null",
        "https://chat.example.evil",
        "http://chat.example",
        "*",
      ]) {
        const response = await app.request(path, { headers: { Origin: origin } });
        expect(response.status).toBe(403);
        expect(response.headers.get("access-control-allow-origin")).toBeNull();
      }
    }
    expect(server.counts.get("rejected_total{reason=forbidden}")).toBe(15);
  });

  it("refuses what browsers load from other sites without an Origin", async () => {
    const { app } = start(allowed);
    for (const site of ["cross-site", "same-site"]) {
      expect((await app.request("/health", { headers: { "Sec-Fetch-Site": site } })).status).toBe(403);
    }
    for (const site of ["same-origin", "none"]) {
      expect((await app.request("/health", { headers: { "Sec-Fetch-Site": site } })).status).toBe(200);
    }
  });

  it("lets its own pages and the allowed ones in; CORS headers only for these", async () => {
    const { app } = start(allowed);
    const own = await app.request("/health", {
      headers: { Host: "localhost:1", Origin: "http://localhost:1" },
    });
    expect([own.status, own.headers.get("access-control-allow-origin")]).toEqual([200, null]);
    const otherPort = { Host: "localhost:1", Origin: "http://localhost:2" };
    expect((await app.request("/health", { headers: otherPort })).status).toBe(403);
    for (const origin of ["https://chat.example", "chrome-extension://abcdef"]) {
      const response = await app.request("/api/nothing", { headers: { Origin: origin } });
      expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([404, origin]);
      expect(response.headers.get("vary")).toContain("Origin");
    }
  });

  it("answers preflight requests before it asks for a key", async () => {
    const { app } = start({ ...allowed, apiKeys: ["k"] });
    const ask = (origin: string): Promise<Response> | Response =>
      app.request("/api/echo", {
        method: "OPTIONS",
        headers: {
          Origin: origin,
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "authorization,content-type",
        },
      });
    const response = await ask("https://chat.example");
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect(response.headers.get("access-control-allow-origin")).toBe("https://chat.example");
    expect((await ask("https://evil.example")).status).toBe(403);
  });
});

describe("API keys", () => {
  const key = "sk-1234";

  it("takes them as Bearer or x-api-key, and as nothing else", async () => {
    const { app } = start({ apiKeys: ["other", key] });
    const status = async (headers: Record<string, string>, path = "/api/echo"): Promise<number> =>
      (await app.request(...post(path, { model: "m" }, headers))).status;
    expect(await status({ Authorization: `Bearer ${key}` })).toBe(200);
    expect(await status({ Authorization: `bearer ${key}` })).toBe(200);
    expect(await status({ "x-api-key": key })).toBe(200);
    expect(await status({})).toBe(401);
    expect(await status({ "x-api-key": "" })).toBe(401);
    expect(await status({ Authorization: key })).toBe(401);
    expect(await status({ Authorization: `Bearer ${key}x` })).toBe(401);
    expect(await status({ Authorization: `Basic ${key}` })).toBe(401);
    expect(await status({}, `/api/echo?api_key=${key}&key=${key}`)).toBe(401);
    expect(await status({ Cookie: `api_key=${key}` })).toBe(401);
  });

  it("answers 401 in each dialect; only /health is open", async () => {
    const { app, server } = start({ apiKeys: [key] });
    expect((await app.request("/health")).status).toBe(200);
    for (const path of ["/openapi.json", "/api/nothing"]) expect((await app.request(path)).status).toBe(401);
    const response = await app.request(...post("/v1/echo", {}));
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
    const anthropic = await app.request(...post("/v1/messages", {}));
    expect(await anthropic.json()).toMatchObject({ type: "error", error: { type: "authentication_error" } });
    expect(server.counts.get("rejected_total{reason=unauthorized}")).toBe(4);
  });

  it("says in its description that it wants one", async () => {
    const { app } = start({ apiKeys: [key] });
    const response = await app.request("/openapi.json", { headers: { "x-api-key": key } });
    expect(await response.json()).toMatchObject({
      security: [{ apiKey: [] }],
      components: { securitySchemes: { apiKey: { type: "http", scheme: "bearer" } } },
    });
  });

  it("makes the key's digest the client", async () => {
    const { app } = start({ apiKeys: [key, "other"] });
    const clientOf = async (used: string): Promise<string> => {
      const response = await app.request(...post("/api/echo", { model: "m" }, { "x-api-key": used }));
      return ((await response.json()) as { client: string }).client;
    };
    expect(await clientOf(key)).toMatch(/^[0-9a-f]{64}$/);
    expect(await clientOf(key)).not.toBe(await clientOf("other"));
  });
});

describe("the access log", () => {
  it("tells names, counts and sizes, and no more", async () => {
    const { app, server } = start({ apiKeys: ["sk-1234"] });
    const body = { model: "pico", messages: [{ role: "user", content: "my secret" }] };
    await app.request(
      ...post("/api/echo?token=sk-1234", body, { "x-api-key": "sk-1234", "X-Request-Id": "r1" }),
    );
    const line = server.lines.find(({ message }) => message === "request");
    expect(line?.fields).toEqual({
      method: "POST",
      route: "/api/echo",
      status: 200,
      ms: expect.any(Number) as number,
      client: expect.stringMatching(/^[0-9a-f]{8}$/) as string,
      model: "pico",
      request: "r1",
    });
    expect(JSON.stringify(server.lines)).not.toMatch(/secret|sk-1234/);
  });

  it("has the last words of a dead engine, for the server's owner", async () => {
    const server = fakeContext();
    const app = createApp(server, [
      (added) =>
        void added.get("/api/dead", () => {
          const details = { signal: "SIGABRT", code: null, lastLines: ["GGML_ASSERT"] };
          throw new MullError("engine_crashed", "The engine died.", { details });
        }),
    ]);
    const [status, text] = await errorOf(app.request("/api/dead"));
    expect([status, text]).toEqual([500, '{"error":"The engine died."}']);
    expect(server.lines.find(({ level }) => level === "warn")?.fields).toMatchObject({
      code: "engine_crashed",
      signal: "SIGABRT",
      lastLines: ["GGML_ASSERT"],
    });
  });

  it("counts by pattern, not by path", async () => {
    const { app, server } = start();
    await app.request("/api/fail/timeout");
    await app.request("/anything/else");
    expect(server.counts.get("http_requests_total{method=GET,route=/api/fail/:code,status=504}")).toBe(1);
    expect(server.counts.get("http_requests_total{method=GET,route=none,status=404}")).toBe(1);
  });
});

describe("time and signals", () => {
  it("answers when a handler takes too long, whatever it does", async () => {
    const server = fakeContext({ options: { requestTimeoutMs: 20 } });
    let reason: unknown;
    const app = createApp(server, [
      (routesOf) =>
        void routesOf.get("/v1/slow", async (c) => {
          c.var.signal.addEventListener("abort", () => (reason = c.var.signal.reason));
          return new Promise<Response>(() => {});
        }),
    ]);
    const response = await app.request("/v1/slow");
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: "timeout" } });
    expect(MullError.is(reason)).toBe(true);
  });

  it("tells a handler that its client has gone", async () => {
    const gone = new AbortController();
    const app = createApp(fakeContext(), [
      (routesOf) =>
        void routesOf.get("/api/slow", async (c) => {
          gone.abort();
          return c.json({ aborted: c.var.signal.aborted });
        }),
    ]);
    const response = await app.request("/api/slow", { signal: gone.signal });
    expect(response.status).toBe(499);
  });

  it("takes no new work while it ends, and says so", async () => {
    const lifetime = new ServerLifetime();
    const app = createApp(fakeContext(), [routes], { lifetime });
    lifetime.drain();
    const health = await app.request("/health");
    expect([health.status, await health.json()]).toMatchObject([503, { status: "draining" }]);
    const refused = await app.request(...post("/v1/echo", { model: "m" }));
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("5");
    expect(refused.headers.get("connection")).toBe("close");
  });
});
