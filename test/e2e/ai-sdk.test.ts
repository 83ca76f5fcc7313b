import { readFileSync } from "node:fs";
import { embedMany, generateObject, generateText, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { createMull, type MullProvider } from "../../src/ai-sdk/create-mull.ts";
import { type RunningServer, startServer } from "../../src/server/start-server.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

globalThis.AI_SDK_LOG_WARNINGS = false;

/** The AI SDK, unmodified, with pico: in this program, and on a server. */
const folder = temporaryFolder();
let server: RunningServer;
const providers: Record<string, MullProvider> = {};

const smile = readFileSync(new URL("../../examples/smile.png", import.meta.url));
const circle = readFileSync(new URL("../../examples/red-circle.png", import.meta.url));

beforeAll(async () => {
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) vi.stubEnv(name, folder.path);
  server = await startServer({ port: 0 });
  providers["in this program"] = createMull();
  providers["by URL"] = createMull({ baseURL: server.url });
});

afterAll(async () => {
  for (const provider of Object.values(providers)) await provider.close();
  await server.close();
  vi.unstubAllEnvs();
});

function about(image: Uint8Array | string, text: string): Parameters<typeof generateText>[0]["messages"] {
  return [
    {
      role: "user",
      content: [
        { type: "image", image },
        { type: "text", text },
      ],
    },
  ];
}

function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

describe.each(["in this program", "by URL"])("pico %s", (where) => {
  const mull = (): MullProvider => providers[where] as MullProvider;

  it("answers about pictures", async () => {
    for (const image of [
      smile,
      smile.toString("base64"),
      `data:image/png;base64,${smile.toString("base64")}`,
    ]) {
      const result = await generateText({
        model: mull()("pico"),
        messages: about(image, "What's in this image?") ?? [],
        temperature: 0,
      });
      expect(result.text).toMatch(/yellow smiley face/);
      expect(result.finishReason).toBe("stop");
      expect(result.usage.inputTokens).toBeGreaterThan(36);
      expect(result.providerMetadata?.["mull"]?.["receipts"]).toMatchObject([
        { format: "png", bytes: smile.length },
      ]);
    }
  });

  it("streams the same answer", async () => {
    const ask = {
      model: mull()("pico"),
      messages: about(circle, "What colour is it?") ?? [],
      temperature: 0,
    };
    const result = streamText(ask);
    let text = "";
    for await (const delta of result.textStream) text += delta;
    expect(text).toBe((await generateText(ask)).text);
    expect(text).toMatch(/red/);
  });

  it("keeps to a schema", async () => {
    const { object } = await generateObject({
      model: mull()("pico"),
      schema: z.object({ colour: z.enum(["red", "blue", "yellow"]) }),
      messages: about(circle, "What colour is it?") ?? [],
      temperature: 0,
    });
    expect(object).toEqual({ colour: expect.stringMatching(/red|blue|yellow/) });
  });

  it("calls a tool that it must call", async () => {
    const { toolCalls, finishReason } = await generateText({
      model: mull()("pico"),
      prompt: "Which colour?",
      tools: { paint: tool({ inputSchema: z.object({ colour: z.enum(["red", "blue"]) }) }) },
      toolChoice: { type: "tool", toolName: "paint" },
    });
    expect(finishReason).toBe("tool-calls");
    expect(toolCalls).toMatchObject([
      { toolName: "paint", input: { colour: expect.stringMatching(/red|blue/) } },
    ]);
  });

  it("embeds texts and pictures in one space", async () => {
    const { embeddings } = await embedMany({
      model: mull().embeddingModel("pico"),
      values: ["a text", "", ""],
      providerOptions: { mull: { images: [null, smile.toString("base64"), smile.toString("base64")] } },
    });
    const [text, first, second] = embeddings as [number[], number[], number[]];
    for (const vector of embeddings) expect(cosine(vector, vector)).toBeCloseTo(1, 4);
    expect(cosine(first, second)).toBeCloseTo(1, 3);
    expect(text).toHaveLength(first.length);
  });

  it("says what is wrong", async () => {
    await expect(generateText({ model: mull()("llava"), prompt: "Hi" })).rejects.toMatchObject({
      code: "model_not_found",
    });
    const failure = generateText({
      model: mull()("pico"),
      messages: about(smile.subarray(0, 300), "What is it?") ?? [],
    });
    await expect(failure).rejects.toMatchObject({ code: "invalid_media" });
  });

  it("stops when it is aborted", async () => {
    const stop = new AbortController();
    const result = streamText({ model: mull()("pico"), prompt: "Hello", abortSignal: stop.signal });
    const types: string[] = [];
    for await (const part of result.fullStream) {
      types.push(part.type);
      if (part.type === "text-delta") stop.abort();
    }
    expect(types).toContain("abort");
  });
});
