import { describe, expect, it } from "vitest";
import {
  breakWith,
  type DialectServer,
  dialectServer,
  PNG_URL,
  sayAndBreak,
  sayForEver,
} from "../../../test/support/dialect-server.ts";
import {
  fakeContext,
  fakePool,
  FINISH,
  INFO,
  RECEIPT,
  say,
  STATS,
} from "../../../test/support/fake-server.ts";
import { decodeVector } from "../../providers/wire.ts";
import { MullError } from "../../spec/errors.ts";
import { createApp } from "../create-app.ts";
import { mullRoutes } from "./routes.ts";

const BASE64 = PNG_URL.slice(PNG_URL.indexOf(",") + 1);
const PNG = new Uint8Array(Buffer.from(BASE64, "base64"));
const QUESTION = { model: "pico", messages: [{ role: "user", content: "Hi" }] };

async function post(server: DialectServer, path: string, body: unknown): Promise<Response> {
  return server.app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function lines(response: Response): Promise<unknown[]> {
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

describe("POST /api/stream", () => {
  it("answers in the library's own parts", async () => {
    const server = dialectServer(mullRoutes, {
      *answer() {
        yield { type: "progress", stage: "prefill", completed: 0, total: 4 };
        yield { type: "media", receipt: RECEIPT };
        yield* say("Hello", " there.");
      },
    });
    const response = await post(server, "/api/stream", QUESTION);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await lines(response)).toEqual([
      { type: "progress", stage: "prefill", completed: 0, total: 4 },
      { type: "media", receipt: RECEIPT },
      ...say("Hello", " there."),
    ]);
    expect(server.held()).toBe(0);
  });

  it("passes on everything that a request can say", async () => {
    const server = dialectServer(mullRoutes);
    const request = {
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "assistant",
          content: "",
          reasoning: "Hm.",
          toolCalls: [{ id: "1", name: "look", arguments: { at: "x" } }],
        },
        { role: "tool", toolCallId: "1", toolName: "look", content: "Red." },
      ],
      raw: false,
      tools: [{ name: "look", description: "Looks.", parameters: { type: "object" } }],
      toolChoice: { name: "look" },
      format: { type: "object" },
      think: "low",
      logprobs: 2,
      overflow: "shrink",
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      minP: 0.1,
      repeatPenalty: 1.1,
      frequencyPenalty: 0.1,
      presencePenalty: 0.2,
      repeatLastN: 9,
      seed: 7,
      stop: ["\n"],
      maxTokens: 9,
    };
    await (await post(server, "/api/stream", { model: "pico", ...request })).text();
    expect(server.requests).toEqual([{ ...request, client: "", signal: expect.any(AbortSignal) }]);
  });

  it("keeps the caller's clients apart from each other and from everybody else's", async () => {
    const server = dialectServer(mullRoutes);
    for (const client of ["ann", "bob"])
      await (await post(server, "/api/stream", { ...QUESTION, client })).text();
    expect(server.requests.map(({ client }) => client)).toEqual(["/ann", "/bob"]);
  });

  it("takes pictures as base64 and data: URLs, with names and budgets", async () => {
    const server = dialectServer(mullRoutes);
    const content = [
      { type: "image", image: PNG_URL, name: "a.png", detail: "low", maxTokens: 9 },
      { type: "image", image: BASE64 },
      { type: "text", text: "Which?" },
    ];
    const messages = [{ role: "user", content }];
    expect((await post(server, "/api/stream", { model: "pico", messages })).status).toBe(200);
    const [first, second, third] = server.requests[0]!.messages[0]!.content as readonly {
      image: Uint8Array;
    }[];
    expect(first).toMatchObject({ name: "a.png", detail: "low", maxTokens: 9 });
    expect([first, second].map((part) => new Uint8Array(part?.image ?? []))).toEqual([PNG, PNG]);
    expect(third).toEqual({ type: "text", text: "Which?" });
  });

  it("takes uploaded pictures by digest, of the same client only", async () => {
    const sha256 = "a".repeat(64);
    const stored = { sha256, bytes: PNG, expiresAt: new Date(0) };
    const context = fakeContext({
      media: {
        put: () => stored,
        get: (client, digest) => (client === "" && digest === sha256 ? stored : undefined),
      },
    });
    const app = createApp(context, [mullRoutes]);
    const ask = (digest: string): Promise<Response> => {
      const content = [{ type: "image", image: `sha256:${digest}` }];
      const body = JSON.stringify({ model: "pico", messages: [{ role: "user", content }] });
      return Promise.resolve(app.request("/api/stream", { method: "POST", body }));
    };
    expect((await ask(sha256)).status).toBe(200);
    const missing = await ask("b".repeat(64));
    expect(missing.status).toBe(400);
    expect(await missing.json()).toMatchObject({ error: { code: "media_not_found" } });
  });

  it("gives no more tokens than the server allows", async () => {
    const server = dialectServer(mullRoutes, { options: { maxTokens: 50 } });
    for (const maxTokens of [undefined, -1, 9, 900]) {
      await (await post(server, "/api/stream", { ...QUESTION, maxTokens })).text();
    }
    expect(server.requests.map(({ maxTokens }) => maxTokens)).toEqual([50, 50, 9, 50]);
  });

  it("begins with what a saved model carries along", async () => {
    const pool = fakePool();
    const saved = [
      { role: "user" as const, content: "A" },
      { role: "assistant" as const, content: "B" },
    ];
    Object.assign(await pool.find("pico"), {
      system: "Be kind.",
      messages: saved,
      generation: { topK: 3, seed: 1 },
    });
    const requests: object[] = [];
    const { model } = await pool.acquire("pico");
    model.stream = async function* (request) {
      requests.push(request);
      yield FINISH;
    };
    const app = createApp(fakeContext({ models: pool }), [mullRoutes]);
    for (const raw of [false, true]) {
      const body = JSON.stringify({ ...QUESTION, seed: 2, raw });
      await (await app.request("/api/stream", { method: "POST", body })).text();
    }
    expect(requests).toMatchObject([
      {
        topK: 3,
        seed: 2,
        messages: [{ role: "system", content: "Be kind." }, ...saved, ...QUESTION.messages],
      },
      { topK: 3, seed: 2, messages: QUESTION.messages },
    ]);
  });

  it("tells of an error with its status while it can, later as the last part", async () => {
    const error = new MullError("context_overflow", "Too long.", { hint: "Shorten it." });
    const early = dialectServer(mullRoutes, { answer: () => breakWith(error) });
    const response = await post(early, "/api/stream", QUESTION);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: { code: "context_overflow", message: "Too long.", hint: "Shorten it." },
    });
    const late = dialectServer(mullRoutes, { answer: sayAndBreak });
    const parts = await lines(await post(late, "/api/stream", QUESTION));
    expect(parts).toEqual([
      { type: "text-delta", id: "0", delta: "Once" },
      { type: "error", error: { code: "engine_crashed", message: "The engine process died." } },
    ]);
    expect([early.held(), late.held()]).toEqual([0, 0]);
  });

  it("ends when the client goes away, and holds nothing then", async () => {
    const server = dialectServer(mullRoutes, { answer: sayForEver });
    const response = await post(server, "/api/stream", QUESTION);
    const reader = response.body!.getReader();
    await reader.read();
    expect(server.held()).toBe(2);
    await reader.cancel();
    await new Promise(setImmediate);
    expect(server.held()).toBe(0);
  });

  it.each([
    ["no JSON", "{", "JSON"],
    ["no model", { messages: QUESTION.messages }, "model is required"],
    ["no messages", { model: "pico" }, "messages is required"],
    ["an empty conversation", { model: "pico", messages: [] }, "messages"],
    ["a strange role", { model: "pico", messages: [{ role: "robot", content: "" }] }, "messages[0].role"],
    [
      "a strange part",
      { model: "pico", messages: [{ role: "user", content: [{ type: "audio", audio: "" }] }] },
      "messages[0].content[0]",
    ],
    ["an option that does not exist", { ...QUESTION, topN: 3 }, "topN"],
    ["an option of a wrong type", { ...QUESTION, topK: "3" }, "topK"],
    [
      "a path instead of a picture",
      { model: "pico", messages: [{ role: "user", content: [{ type: "image", image: "/etc/passwd" }] }] },
      "messages[0].content[0].image",
    ],
  ])("refuses %s and names the place", async (_, body, place) => {
    const server = dialectServer(mullRoutes);
    const response = await post(server, "/api/stream", body);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.message).toContain(place);
    expect(server.requests).toEqual([]);
    expect(server.held()).toBe(0);
  });

  it("passes on that the model is not there, or the queue is full", async () => {
    const missing = await post(dialectServer(mullRoutes), "/api/stream", { ...QUESTION, model: "llava" });
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { code: "model_not_found" } });
    const refuse = new MullError("server_busy", "Full.", { details: { retryAfterSeconds: 2 } });
    const full = await post(dialectServer(mullRoutes, { refuse }), "/api/stream", QUESTION);
    expect([full.status, full.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await full.json()).toEqual({ error: refuse.toJSON() });
  });
});

describe("mull's other routes", () => {
  it("count tokens", async () => {
    const server = dialectServer(mullRoutes);
    expect(await (await post(server, "/api/tokens", QUESTION)).json()).toEqual({
      total: 40,
      text: 4,
      image: 36,
    });
    expect(server.held()).toBe(0);
  });

  it("embed texts and pictures, exactly", async () => {
    const server = dialectServer(mullRoutes);
    const inputs = ["a", { text: "b", image: PNG_URL, name: "b.png" }];
    const response = await post(server, "/api/vectors", {
      model: "pico",
      inputs,
      dimensions: 3,
      truncate: false,
    });
    const { vectors, usage } = (await response.json()) as { vectors: string[]; usage: object };
    expect(vectors.map(decodeVector)).toEqual([Float32Array.of(1, 0, 0.5), Float32Array.of(1, 1, 0.5)]);
    expect(usage).toEqual({ total: 8, text: 7, image: 1 });
    expect(server.embedded).toMatchObject([
      {
        inputs: ["a", { text: "b", name: "b.png" }],
        options: { dimensions: 3, truncate: false, client: "" },
      },
    ]);
    expect(server.held()).toBe(0);
  });

  it("describe a model without the folders of this machine", async () => {
    const server = dialectServer(mullRoutes);
    for (const name of ["pico", "pico%3Alatest"]) {
      const response = await server.app.request(`/api/models/${name}`);
      expect(await response.json()).toEqual({
        ...INFO,
        files: { model: "pico.gguf", projector: "mmproj.gguf" },
      });
    }
    expect((await server.app.request("/api/models/llava%2F7b")).status).toBe(404);
    expect(server.held()).toBe(0);
  });

  it("tell what a loaded engine does, and load none for that", async () => {
    const server = dialectServer(mullRoutes);
    expect(await (await server.app.request("/api/stats/pico")).json()).toEqual(STATS);
    const idle = createApp(fakeContext({ models: { ...fakePool(), loaded: () => [] } }), [mullRoutes]);
    const response = await idle.request("/api/stats/pico");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringContaining("not loaded") },
    });
  });

  it("are described", async () => {
    const { app } = dialectServer(mullRoutes);
    const document = (await (await app.request("/openapi.json")).json()) as {
      paths: object;
      components: { schemas: Record<string, { required?: string[] }> };
    };
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        "/api/stream",
        "/api/tokens",
        "/api/vectors",
        "/api/models/{name}",
        "/api/stats/{name}",
      ]),
    );
    expect(document.components.schemas["StreamRequest"]?.required).toEqual(["model", "messages"]);
  });
});
