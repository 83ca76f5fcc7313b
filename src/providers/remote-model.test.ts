import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { FINISH, INFO, PNG, RECEIPT, STATS } from "../../test/support/cli-harness.ts";
import {
  loopbackServer,
  type LoopbackRoute,
  freeAddress,
  sendJson,
  sendLines,
} from "../../test/support/loopback-server.ts";
import type { Model } from "../spec/model.ts";
import type { StreamPart } from "../spec/stream.ts";
import { encodeVector } from "./wire.ts";
import { connect } from "./remote-model.ts";

const DIGEST = createHash("sha256").update(PNG).digest("hex");

const ANSWER: StreamPart[] = [
  { type: "progress", stage: "prefill", completed: 0, total: 4 },
  { type: "media", receipt: RECEIPT },
  { type: "text-start", id: "0" },
  { type: "text-delta", id: "0", delta: " Ein Gesicht, grün 🙂" },
  { type: "text-end", id: "0" },
  FINISH,
];

const describeModel: LoopbackRoute = (_, response) => sendJson(response, INFO);
const answer: LoopbackRoute = (_, response) => {
  sendLines(response, ANSWER);
  response.end();
};
const acceptMedia: LoopbackRoute = ({ body }, response) =>
  sendJson(response, { sha256: createHash("sha256").update(body).digest("hex") });

const ROUTES = {
  "GET /api/models/pico": describeModel,
  "POST /api/stream": answer,
  "POST /api/media": acceptMedia,
};

async function collect(model: Model, request: Parameters<Model["stream"]>[0]): Promise<StreamPart[]> {
  const parts: StreamPart[] = [];
  for await (const part of model.stream(request)) parts.push(part);
  return parts;
}

const QUESTION = { messages: [{ role: "user" as const, content: "Hello" }] };

describe("connect", () => {
  it("describes the model as the server does, and sends the key", async () => {
    await using server = await loopbackServer(ROUTES);
    await using model = await connect({ url: server.url, model: "pico", apiKey: "secret" });
    expect(model.info).toEqual(INFO);
    expect(model.enginePid).toBeUndefined();
    expect(server.requests[0]?.headers.authorization).toBe("Bearer secret");
  });

  it("finds a server under a path, and a model whose name has a slash", async () => {
    await using server = await loopbackServer({
      "GET /deep/mull/api/models/space%2Fname%3Atag": describeModel,
    });
    await using model = await connect({ url: `${server.url}/deep/mull/`, model: "space/name:tag" });
    expect(model.info.name).toBe("pico");
  });

  it("says that nothing answers there", async () => {
    await expect(connect({ url: await freeAddress(), model: "pico" })).rejects.toMatchObject({
      code: "server_unreachable",
      hint: expect.stringContaining("mull serve"),
    });
  });

  it.each<[string, LoopbackRoute]>([
    ["a web page", (_, response) => void response.end("<html>")],
    ["other JSON", (_, response) => sendJson(response, { models: [] })],
    ["a plain 404", (_, response) => void response.writeHead(404).end("404 page not found")],
  ])("recognises that %s is not mull", async (_, route) => {
    await using server = await loopbackServer({ "GET /api/models/pico": route });
    await expect(connect({ url: server.url, model: "pico" })).rejects.toMatchObject({
      code: "server_unreachable",
      message: expect.stringContaining("no mull server"),
    });
  });

  it("passes on the server's own error, whole", async () => {
    const error = {
      code: "model_not_found",
      message: "There is no model.",
      hint: "pico",
      details: { near: 1 },
    };
    await using server = await loopbackServer({
      "GET /api/models/picco": (_, response) => sendJson(response, { error }, 404),
    });
    const failure = connect({ url: server.url, model: "picco" });
    await expect(failure).rejects.toMatchObject(error);
    await expect(failure).rejects.toMatchObject({ name: "MullError" });
  });

  it("asks for a key when the server wants one and says no more", async () => {
    await using server = await loopbackServer({
      "GET /api/models/pico": (_, response) => void response.writeHead(401).end(),
    });
    await expect(connect({ url: server.url, model: "pico" })).rejects.toMatchObject({
      code: "unauthorized",
      hint: expect.stringContaining("MULL_API_KEY"),
    });
  });

  it("can be cancelled", async () => {
    const stop = new AbortController();
    await using server = await loopbackServer({ "GET /api/models/pico": () => stop.abort() });
    await expect(connect({ url: server.url, model: "pico", signal: stop.signal })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

describe("RemoteModel.stream", () => {
  it("gives the parts as the server sends them, whatever the network cuts", async () => {
    await using server = await loopbackServer({
      ...ROUTES,
      "POST /api/stream": async (_, response) => {
        response.writeHead(200);
        const bytes = Buffer.from(ANSWER.map((part) => `${JSON.stringify(part)}\n`).join("\n"));
        for (let at = 0; at < bytes.length; at += 7) {
          response.write(bytes.subarray(at, at + 7));
          await new Promise(setImmediate);
        }
        response.end();
      },
    });
    await using model = await connect({ url: server.url, model: "pico" });
    expect(await collect(model, QUESTION)).toEqual(ANSWER);
  });

  it("sends the request in the library's own words", async () => {
    await using server = await loopbackServer(ROUTES);
    await using model = await connect({ url: server.url, model: "pico" });
    await collect(model, {
      ...QUESTION,
      temperature: 0.5,
      maxTokens: 9,
      format: { type: "object" },
      client: "ann",
    });
    expect(JSON.parse(String(server.requests.at(-1)?.body))).toEqual({
      ...QUESTION,
      model: "pico",
      temperature: 0.5,
      maxTokens: 9,
      format: { type: "object" },
      client: "ann",
    });
  });

  it("does nothing until it is iterated", async () => {
    await using server = await loopbackServer(ROUTES);
    await using model = await connect({ url: server.url, model: "pico" });
    model.stream(QUESTION);
    await collect(model, QUESTION);
    expect(server.requests.filter(({ path }) => path === "/api/stream")).toHaveLength(1);
  });

  it("uploads each picture once, as binary, and names it by its digest", async () => {
    await using server = await loopbackServer(ROUTES);
    await using model = await connect({ url: server.url, model: "pico" });
    const dataUrl = `data:image/png;base64,${Buffer.from(PNG).toString("base64")}`;
    const content = [
      { type: "image" as const, image: PNG, detail: "low" as const },
      { type: "image" as const, image: dataUrl, name: "b.png" },
      { type: "text" as const, text: "Which?" },
    ];
    await collect(model, { messages: [{ role: "user", content }] });
    await collect(model, { messages: [{ role: "user", content }] });
    const uploads = server.requests.filter(({ path }) => path === "/api/media");
    expect(uploads.map(({ body }) => body)).toEqual([Buffer.from(PNG)]);
    expect(uploads[0]?.headers["content-type"]).toBe("application/octet-stream");
    expect(JSON.parse(String(server.requests.at(-1)?.body)).messages[0].content).toEqual([
      { type: "image", image: `sha256:${DIGEST}`, name: "image 1", detail: "low" },
      { type: "image", image: `sha256:${DIGEST}`, name: "b.png" },
      { type: "text", text: "Which?" },
    ]);
  });

  it("uploads again what the server did not keep", async () => {
    let streams = 0;
    await using server = await loopbackServer({
      ...ROUTES,
      "POST /api/stream": (request, response) => {
        // Two answers, and between them the server is started anew.
        if (++streams !== 2) return answer(request, response);
        return sendJson(response, { error: { code: "media_not_found", message: "No such upload." } }, 400);
      },
    });
    await using model = await connect({ url: server.url, model: "pico" });
    expect(await model.ask("What is it?", PNG)).toBe("Ein Gesicht, grün 🙂");
    expect(await model.ask("What is it?", PNG)).toBe("Ein Gesicht, grün 🙂");
    expect(server.requests.map(({ path }) => path).slice(1)).toEqual([
      "/api/media",
      "/api/stream",
      "/api/stream",
      "/api/media",
      "/api/stream",
    ]);
  });

  it("reports a picture that does not exist without asking the server", async () => {
    await using server = await loopbackServer(ROUTES);
    await using model = await connect({ url: server.url, model: "pico" });
    await expect(model.ask("What is it?", "./nowhere.png")).rejects.toMatchObject({
      code: "media_not_found",
    });
    expect(server.requests).toHaveLength(1);
  });

  it.each<[string, LoopbackRoute, object]>([
    [
      "an error in the middle",
      (_, response) => {
        const error = { code: "engine_crashed", message: "SIGSEGV", details: { signal: "SIGSEGV" } };
        sendLines(response, [...ANSWER.slice(0, 4), { type: "error", error }]);
        response.end();
      },
      { code: "engine_crashed", message: "SIGSEGV", details: { signal: "SIGSEGV" } },
    ],
    [
      "an answer that just ends",
      (_, response) => {
        sendLines(response, ANSWER.slice(0, -1));
        response.end();
      },
      { code: "server_unreachable", message: expect.stringContaining("before it was complete") },
    ],
    [
      "a connection that breaks",
      (_, response) => {
        sendLines(response, ANSWER.slice(0, 4));
        setImmediate(() => response.destroy());
      },
      { code: "server_unreachable", message: expect.stringContaining("broke") },
    ],
    ["no parts", (_, response) => sendJson(response, ["x"]), { code: "server_unreachable" }],
    ["no JSON", (_, response) => void response.end("event: x\n\n"), { code: "server_unreachable" }],
    [
      "a full queue",
      (_, response) => {
        const error = { code: "server_busy", message: "512 wait.", details: { retryAfterSeconds: 3 } };
        sendJson(response, { error }, 503);
      },
      { code: "server_busy", retryable: true, details: { retryAfterSeconds: 3 } },
    ],
  ])("ends with an error on %s", async (_, route, error) => {
    await using server = await loopbackServer({ ...ROUTES, "POST /api/stream": route });
    await using model = await connect({ url: server.url, model: "pico" });
    await expect(collect(model, QUESTION)).rejects.toMatchObject(error);
  });

  /** Says something, then nothing more. */
  const stuck: LoopbackRoute = (_, response) => sendLines(response, ANSWER.slice(0, 4));

  it("closes the connection when its signal fires", async () => {
    await using server = await loopbackServer({ ...ROUTES, "POST /api/stream": stuck });
    await using model = await connect({ url: server.url, model: "pico" });
    const stop = new AbortController();
    const parts = model.stream({ ...QUESTION, signal: stop.signal });
    const failure = (async () => {
      for await (const part of parts) if (part.type === "text-delta") stop.abort();
    })();
    await expect(failure).rejects.toMatchObject({ code: "aborted" });
    await server.requests.at(-1)?.closed;
  });

  it("closes the connection when the loop is left", async () => {
    await using server = await loopbackServer({ ...ROUTES, "POST /api/stream": stuck });
    await using model = await connect({ url: server.url, model: "pico" });
    for await (const part of model.stream(QUESTION)) if (part.type === "text-delta") break;
    await expect(server.requests.at(-1)?.closed).resolves.toBeUndefined();
  });

  it("ends requests in flight when the model is closed, and takes no more", async () => {
    await using server = await loopbackServer({ ...ROUTES, "POST /api/stream": stuck });
    const model = await connect({ url: server.url, model: "pico" });
    const failure = (async () => {
      for await (const part of model.stream(QUESTION)) if (part.type === "text-delta") await model.close();
    })();
    await expect(failure).rejects.toMatchObject({ code: "closed" });
    await expect(collect(model, QUESTION)).rejects.toMatchObject({ code: "closed" });
    await expect(model.stats()).rejects.toMatchObject({ code: "closed" });
  });

  it("does not read ahead of its reader", async () => {
    const line = `${JSON.stringify({ type: "text-delta", id: "0", delta: "x".repeat(60_000) })}\n`;
    let written = 0;
    let full = (): void => {};
    const blocked = new Promise<void>((resolve) => (full = resolve));
    await using server = await loopbackServer({
      ...ROUTES,
      "POST /api/stream": async (_, response) => {
        response.writeHead(200);
        for (; written < 2000; written++) {
          if (response.write(line)) continue;
          const drained = await Promise.race([
            new Promise<true>((resolve) => void response.once("drain", () => resolve(true))),
            new Promise<false>((resolve) => void setTimeout(() => resolve(false), 300)),
          ]);
          if (!drained) return full();
        }
        full();
      },
    });
    await using model = await connect({ url: server.url, model: "pico" });
    const parts = model.stream(QUESTION)[Symbol.asyncIterator]();
    await parts.next();
    await blocked;
    expect(written).toBeLessThan(2000);
    await parts.return?.();
  });
});

describe("RemoteModel's other calls", () => {
  it("embeds texts and pictures in pieces that a server takes, in order", async () => {
    await using server = await loopbackServer({
      ...ROUTES,
      "POST /api/vectors": ({ body }, response) => {
        const { inputs } = JSON.parse(String(body)) as {
          inputs: ({ text?: string; image?: string } | string)[];
        };
        const pictures = inputs.filter((input) => typeof input !== "string" && input.image !== undefined);
        sendJson(response, {
          vectors: inputs.map((input) =>
            encodeVector(Float32Array.of(Number(typeof input === "string" ? input : input.text), 0.1)),
          ),
          usage: { total: inputs.length, text: inputs.length - pictures.length, image: pictures.length },
          receipts: pictures.map(() => RECEIPT),
        });
      },
    });
    await using model = await connect({ url: server.url, model: "pico" });
    const inputs = Array.from({ length: 150 }, (_, index) =>
      index % 7 === 3 ? { text: String(index), image: PNG } : String(index),
    );
    const { vectors, usage, receipts } = await model.embed(inputs, { dimensions: 2 });
    expect(vectors).toEqual(inputs.map((_, index) => Float32Array.of(index, 0.1)));
    expect(usage).toEqual({ total: 150, text: 129, image: 21 });
    expect(receipts).toHaveLength(21);
    const sent = server.requests.filter(({ path }) => path === "/api/vectors");
    expect(sent.length).toBeGreaterThan(2);
    expect(JSON.parse(String(sent[0]?.body))).toMatchObject({ model: "pico", dimensions: 2 });
  });

  it("inspects, counts tokens and reads statistics", async () => {
    await using server = await loopbackServer({
      ...ROUTES,
      "POST /api/inspect": (_, response) => sendJson(response, { receipts: [RECEIPT], tokens: 36 }),
      "POST /api/tokens": (_, response) => sendJson(response, { total: 40, text: 4, image: 36 }),
      "GET /api/stats/pico": (_, response) => sendJson(response, STATS),
    });
    await using model = await connect({ url: server.url, model: "pico" });
    expect(await model.inspect(PNG, { name: "x.png", maxTokens: 9 })).toEqual({ ...RECEIPT, name: "x.png" });
    expect(JSON.parse(String(server.requests.at(-1)?.body))).toEqual({
      model: "pico",
      images: [`sha256:${DIGEST}`],
      max_tokens: 9,
    });
    expect(await model.countTokens(QUESTION)).toEqual({ total: 40, text: 4, image: 36 });
    expect(await model.stats()).toEqual(STATS);
  });
});
