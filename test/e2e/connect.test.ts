import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect, load, type Model, type StreamPart, type StreamRequest } from "../../src/index.ts";
import { type RunningServer, startServer } from "../../src/server/start-server.ts";
import { mull } from "../support/command.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

/** A real server with pico: what is asked through it is answered as if the model were here. */
const folder = temporaryFolder();
let server: RunningServer;
let here: Model;
let there: Model;

const smilePath = fileURLToPath(new URL("../../examples/smile.png", import.meta.url));
const smile = readFileSync(smilePath);

beforeAll(async () => {
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) vi.stubEnv(name, folder.path);
  server = await startServer({ port: 0, apiKeys: ["secret"] });
  here = await load("pico", { diskCache: false });
  there = await connect({ url: server.url, model: "pico", apiKey: "secret" });
});

afterAll(async () => {
  await here.close();
  await there.close();
  await server.close();
  vi.unstubAllEnvs();
});

/** Parts without what depends on time and on what was asked before. */
async function partsOf(model: Model, request: StreamRequest): Promise<unknown[]> {
  const parts: unknown[] = [];
  for await (const part of model.stream(request)) {
    if (part.type === "progress") continue;
    if (part.type === "media") {
      const { cached: _, cachedIn: __, ...receipt } = part.receipt;
      parts.push({ ...part, receipt });
    } else if (part.type === "finish") {
      const { cached: _, ...inputTokens } = part.usage.inputTokens;
      parts.push({ ...part, timings: undefined, usage: { ...part.usage, inputTokens } });
    } else parts.push(part);
  }
  return parts;
}

describe("a model of a server", () => {
  it("is the same model, but for the folders of its files", () => {
    expect(there.info).toEqual({
      ...here.info,
      name: there.info.name,
      parallel: there.info.parallel,
      contextLength: there.info.contextLength,
      files: { model: "pico.gguf", projector: "pico-mmproj.gguf" },
    });
  });

  it("answers in the same parts", async () => {
    const requests: StreamRequest[] = [
      { messages: [{ role: "user", content: "Hello" }], maxTokens: 5, logprobs: 2 },
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "image", image: smilePath, name: "smile.png" },
              { type: "text", text: "What's in this image?" },
            ],
          },
        ],
      },
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "image", image: smile, maxTokens: 9 },
              { type: "text", text: "Colour?" },
            ],
          },
        ],
        format: { type: "object", properties: { colour: { enum: ["red", "yellow"] } }, required: ["colour"] },
      },
    ];
    for (const request of requests)
      expect(await partsOf(there, request)).toEqual(await partsOf(here, request));
  });

  it("answers questions about paths of this machine", async () => {
    expect(await there.ask("What's in this image?", smilePath)).toMatch(/yellow smiley face/);
  });

  it("inspects, counts and embeds alike", async () => {
    const request: StreamRequest = {
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: smile },
            { type: "text", text: "What?" },
          ],
        },
      ],
    };
    expect(await there.countTokens(request)).toEqual(await here.countTokens(request));
    expect(await there.inspect(smilePath)).toEqual(await here.inspect(smilePath));
    const inputs = ["a yellow face", { image: smile }, { text: "a face", image: smile, name: "smile.png" }];
    const [a, b] = await Promise.all([there.embed(inputs), here.embed(inputs)]);
    expect(a.usage).toEqual(b.usage);
    expect(a.receipts.map(({ name, tokens }) => [name, tokens])).toEqual(
      b.receipts.map(({ name, tokens }) => [name, tokens]),
    );
    for (const [index, vector] of a.vectors.entries()) {
      const other = b.vectors[index] ?? new Float32Array();
      expect(vector.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0)).toBeGreaterThan(0.999);
    }
    expect((await there.stats()).encodedImages).toBeGreaterThan(0);
  });

  it.each<[string, StreamRequest]>([
    ["an option out of range", { messages: [{ role: "user", content: "Hi" }], topP: 2 }],
    ["a prompt that is too long", { messages: [{ role: "user", content: "so long ".repeat(3000) }] }],
    [
      "a broken picture",
      {
        messages: [
          { role: "user", content: [{ type: "image", image: smile.subarray(0, 300), name: "half.png" }] },
        ],
      },
    ],
    ["thinking that it cannot do", { messages: [{ role: "user", content: "Hi" }], think: true }],
    [
      "a path that leads nowhere",
      { messages: [{ role: "user", content: [{ type: "image", image: "./no.png" }] }] },
    ],
  ])("fails with the same error on %s", async (_, request) => {
    const failure = async (model: Model): Promise<unknown> =>
      partsOf(model, request).catch((error: unknown) => error);
    const expected = (await failure(here)) as { code: string };
    expect(await failure(there)).toMatchObject({ name: "MullError", code: expected.code });
  });

  it("stops when it is told to, and goes on with the next question", async () => {
    const stop = new AbortController();
    const request: StreamRequest = { messages: [{ role: "user", content: "Hello" }], signal: stop.signal };
    const failure = (async () => {
      for await (const part of there.stream(request)) if (part.type === "text-delta") stop.abort();
    })();
    await expect(failure).rejects.toMatchObject({ code: "aborted" });
    await vi.waitFor(async () => expect((await there.stats()).running).toBe(0));
    expect(await there.ask("What's in this image?", smile)).toMatch(/smiley/);
  });

  it("says that the server wants a key", async () => {
    const failure = connect({ url: server.url, model: "pico", apiKey: "wrong" });
    await expect(failure).rejects.toMatchObject({ code: "unauthorized" });
    await expect(connect({ url: server.url, model: "llava", apiKey: "secret" })).rejects.toMatchObject({
      code: "model_not_found",
    });
  });
});

describe("a server that ends in the middle of an answer", () => {
  it("says so: the answer is never just short", async () => {
    const second = await startServer({ port: 0, drainMs: 0 });
    const model = await connect({ url: second.url, model: "pico" });
    const parts: StreamPart[] = [];
    const failure = (async () => {
      for await (const part of model.stream({
        messages: [{ role: "user", content: "Hello" }],
        repeatPenalty: 1.5,
      })) {
        parts.push(part);
        if (part.type === "text-delta") void second.close();
      }
    })();
    // An answer that was complete before the server ended has its finish.
    const outcome = await failure.then(
      () => parts.at(-1)?.type,
      (error: { code: string }) => error.code,
    );
    expect(["finish", "closed", "server_unreachable"]).toContain(outcome);
    await second.close();
    await expect(model.ask("Hello")).rejects.toMatchObject({ code: "server_unreachable" });
  });
});

describe("the command beside a server", () => {
  const env = (): Record<string, string> => ({ MULL_HOST: new URL(server.url).host, MULL_API_KEY: "secret" });

  it("asks the server's model, lists it, and stops it", async () => {
    const asked = await mull(["run", "pico", "What's in this image?", smilePath, "--verbose"], {
      env: env(),
    });
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/yellow smiley face/) });
    expect(asked.stderr).toContain("pico runs on the server at");
    const listed = await mull(["ps"], { env: env() });
    expect(listed.stdout).toMatch(/^NAME .*\npico:latest +[0-9a-f]{12} .*100% CPU .*minutes from now\n$/);
    expect(await mull(["stop", "pico"], { env: env() })).toMatchObject({
      code: 0,
      stderr: "Stopped pico:latest\n",
    });
    expect((await mull(["ps"], { env: env() })).stdout).toMatch(/^NAME .*\n$/);
    // The program's own handle goes on: the server loads the model again.
    expect(await there.ask("What's in this image?", smile)).toMatch(/smiley/);
  });

  it("has its own engine with --local, and when no server runs", async () => {
    const local = await mull(["run", "pico", "Hello", "--local", "--verbose"], { env: env() });
    expect(local.code).toBe(0);
    expect(local.stderr).not.toContain("server");
    const alone = await mull(["run", "pico", "Hello", "--verbose"]);
    expect(alone).toMatchObject({ code: 0, stderr: expect.stringContaining("Own engine.") });
    expect((await mull(["ps"])).code).toBe(5);
  });
});
