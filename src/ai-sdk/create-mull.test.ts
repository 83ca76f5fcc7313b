import {
  APICallError,
  embed,
  embedMany,
  generateObject,
  generateText,
  NoSuchModelError,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type Answer, endless, FINISH, PNG, RECEIPT, say } from "../../test/support/cli-harness.ts";
import { fakeModel, type FakeModel } from "../../test/support/fake-model.ts";
import { loopbackServer, sendJson, sendLines } from "../../test/support/loopback-server.ts";
import { INFO } from "../../test/support/cli-harness.ts";
import { MullError } from "../spec/errors.ts";
import type { StreamPart } from "../spec/stream.ts";
import { createMull, type MullProvider } from "./create-mull.ts";

// Warnings are looked at, not printed.
globalThis.AI_SDK_LOG_WARNINGS = false;

const BASE64 = Buffer.from(PNG).toString("base64");

function provider(answer?: Answer): { mull: MullProvider; model: FakeModel; loads: string[] } {
  const model = fakeModel(answer);
  const loads: string[] = [];
  const load = async (modelId: string): Promise<FakeModel> => {
    loads.push(modelId);
    return model;
  };
  return { mull: createMull({ load }), model, loads };
}

function* callTool(name: string, input: Record<string, unknown>): Generator<StreamPart> {
  yield { type: "tool-call", toolCall: { id: "call-1", name, arguments: input } };
  yield { ...FINISH, reason: "tool-calls" } as StreamPart;
}

describe("generateText", () => {
  it("answers, with usage, reason, receipts and times", async () => {
    const { mull } = provider(function* () {
      yield { type: "progress", stage: "prefill", completed: 0, total: 4 };
      yield { type: "media", receipt: RECEIPT };
      yield* say("A yellow ", "smiley face.");
    });
    const result = await generateText({ model: mull("pico"), prompt: "What is it?" });
    expect(result.text).toBe("A yellow smiley face.");
    expect(result.finishReason).toBe("stop");
    expect(result.rawFinishReason).toBe("stop");
    expect(result.usage).toMatchObject({
      inputTokens: 40,
      outputTokens: 6,
      totalTokens: 46,
      inputTokenDetails: { noCacheTokens: 40, cacheReadTokens: 0 },
      outputTokenDetails: { textTokens: 6, reasoningTokens: 0 },
      raw: { inputTokens: { image: 36 } },
    });
    expect(result.providerMetadata?.["mull"]).toMatchObject({
      receipts: [RECEIPT],
      timings: { prefillMs: 40 },
    });
    expect(result.response.modelId).toBe("pico");
    expect(result.warnings).toEqual([]);
  });

  it("passes every setting on", async () => {
    const { mull, model } = provider();
    await generateText({
      model: mull("pico"),
      system: "Be brief.",
      prompt: "Hi",
      maxOutputTokens: 9,
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      seed: 7,
      stopSequences: ["\n"],
      providerOptions: { mull: { minP: 0.1, think: "low", overflow: "shrink", client: "ann" } },
    });
    expect(model.requests[0]).toEqual({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hi" }] },
      ],
      maxTokens: 9,
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      seed: 7,
      stop: ["\n"],
      minP: 0.1,
      think: "low",
      overflow: "shrink",
      client: "ann",
    });
  });

  it("warns of what it cannot do", async () => {
    const { mull } = provider();
    const { warnings } = await generateText({
      model: mull("pico"),
      prompt: "Hi",
      tools: {
        search: tool({
          description: "Searches.",
          inputSchema: z.object({ q: z.string() }),
          inputExamples: [{ input: { q: "cats" } }],
        }),
        code: { type: "provider", id: "other.code", args: {}, inputSchema: z.object({}) } as never,
      },
      providerOptions: { mull: { topN: 3 } },
    });
    expect(warnings).toEqual([
      { type: "unsupported", feature: "inputExamples", details: "of the tool search" },
      { type: "unsupported", feature: "provider-defined tool other.code" },
      { type: "other", message: 'There is no option "topN" of mull.' },
    ]);
  });

  it("takes pictures as bytes, base64, data: URLs and files, in order", async () => {
    const { mull, model } = provider();
    await generateText({
      model: mull("pico"),
      messages: [
        {
          role: "user",
          content: [
            { type: "image", image: PNG, providerOptions: { mull: { detail: "low", maxTokens: 9 } } },
            { type: "text", text: "Compare." },
            { type: "image", image: BASE64 },
            { type: "image", image: `data:image/png;base64,${BASE64}` },
            {
              type: "file",
              data: new URL(`data:image/png;base64,${BASE64}`),
              mediaType: "image/png",
              filename: "x.png",
            },
          ],
        },
      ],
    });
    const bytes = Uint8Array.from(PNG);
    const content = model.requests[0]?.messages[0]?.content as readonly { image?: Uint8Array }[];
    expect(
      content.map((part) =>
        part.image === undefined ? part : { ...part, image: Uint8Array.from(part.image) },
      ),
    ).toEqual([
      { type: "image", image: bytes, detail: "low", maxTokens: 9 },
      { type: "text", text: "Compare." },
      { type: "image", image: bytes },
      { type: "image", image: bytes },
      { type: "image", image: bytes, name: "x.png" },
    ]);
  });

  it.each([
    ["a sound", { type: "file" as const, data: PNG, mediaType: "audio/wav" }, "unsupported_modality"],
    ["a path", { type: "file" as const, data: "/etc/passwd.png", mediaType: "image/png" }, "invalid_media"],
    ["damaged base64", { type: "file" as const, data: "%%%", mediaType: "image/png" }, "invalid_media"],
  ])("refuses %s, and asks nothing", async (_, part, code) => {
    const { mull, model } = provider();
    const failure = generateText({ model: mull("pico"), messages: [{ role: "user", content: [part] }] });
    await expect(failure).rejects.toMatchObject({ name: "MullError", code });
    expect(model.requests).toEqual([]);
  });

  it("never opens a file that a message names", async () => {
    const { mull } = provider();
    const prompt = [
      {
        role: "user" as const,
        content: [{ type: "file" as const, data: new URL("file:///etc/passwd"), mediaType: "image/png" }],
      },
    ];
    await expect(mull("pico").doGenerate({ prompt })).rejects.toMatchObject({ code: "unsupported_media" });
  });

  it("runs tools and gives their results back, pictures too", async () => {
    const { mull, model } = provider(({ messages }) =>
      messages.at(-1)?.role === "tool" ? say("It is red.") : callTool("look", { at: "x" }),
    );
    const result = await generateText({
      model: mull("pico"),
      prompt: "What colour is it?",
      tools: {
        look: tool({
          description: "Looks at something.",
          inputSchema: z.object({ at: z.string() }),
          execute: async () => ({ ok: true }),
          toModelOutput: () => ({
            type: "content",
            value: [
              { type: "text", text: "Here:" },
              { type: "image-data", data: BASE64, mediaType: "image/png" },
            ],
          }),
        }),
      },
      stopWhen: stepCountIs(2),
    });
    expect(result.text).toBe("It is red.");
    expect(result.steps[0]?.finishReason).toBe("tool-calls");
    expect(model.requests[0]).toMatchObject({
      toolChoice: "auto",
      tools: [
        {
          name: "look",
          description: "Looks at something.",
          parameters: { type: "object", properties: { at: { type: "string" } }, required: ["at"] },
        },
      ],
    });
    expect(model.requests[1]?.messages.slice(1)).toMatchObject([
      { role: "assistant", content: "", toolCalls: [{ id: "call-1", name: "look", arguments: { at: "x" } }] },
      {
        role: "tool",
        toolCallId: "call-1",
        toolName: "look",
        content: [{ type: "text", text: "Here:" }, { type: "image" }],
      },
    ]);
  });

  it.each([
    ["auto" as const, "auto"],
    ["none" as const, "none"],
    ["required" as const, "required"],
    [{ type: "tool" as const, toolName: "look" as const }, { name: "look" }],
  ])("passes the choice of a tool on: %j", async (toolChoice, expected) => {
    const { mull, model } = provider(() =>
      toolChoice === "none" ? say("Hi") : callTool("look", { at: "x" }),
    );
    await generateText({
      model: mull("pico"),
      prompt: "Hi",
      tools: { look: tool({ inputSchema: z.object({ at: z.string() }) }) },
      toolChoice,
    });
    expect(model.requests[0]?.toolChoice).toEqual(expected);
  });

  it("keeps thoughts apart from the answer, and sends them back", async () => {
    const { mull, model } = provider(function* () {
      yield { type: "reasoning-start", id: "r" };
      yield { type: "reasoning-delta", id: "r", delta: "Hm." };
      yield { type: "reasoning-end", id: "r" };
      yield* [...say("Yes.")].slice(0, -1);
      const usage = {
        inputTokens: { total: 4, text: 4, image: 0, cached: 3 },
        outputTokens: 6,
        reasoningTokens: 2,
      };
      yield { ...FINISH, usage, stopString: "\n" } as StreamPart;
    });
    const first = await generateText({ model: mull("pico"), prompt: "Is it?" });
    expect([first.reasoningText, first.text]).toEqual(["Hm.", "Yes."]);
    expect(first.usage).toMatchObject({
      inputTokenDetails: { noCacheTokens: 1, cacheReadTokens: 3 },
      outputTokenDetails: { textTokens: 4, reasoningTokens: 2 },
    });
    expect(first.providerMetadata?.["mull"]?.["stopString"]).toBe("\n");
    await generateText({
      model: mull("pico"),
      messages: [...first.response.messages, { role: "user", content: "Sure?" }],
    });
    expect(model.requests[1]?.messages[0]).toEqual({ role: "assistant", content: "Yes.", reasoning: "Hm." });
  });

  it("gives log probabilities when asked", async () => {
    const token = { token: "Yes", bytes: [89, 101, 115], logprob: -0.1, top: [] };
    const { mull, model } = provider(function* () {
      yield { type: "text-start", id: "0" };
      yield { type: "text-delta", id: "0", delta: "Yes", logprobs: [token] };
      yield { type: "text-end", id: "0" };
      yield FINISH;
    });
    const { providerMetadata } = await generateText({
      model: mull("pico"),
      prompt: "Is it?",
      providerOptions: { mull: { logprobs: 0 } },
    });
    expect(providerMetadata?.["mull"]?.["logprobs"]).toEqual([token]);
    expect(model.requests[0]?.logprobs).toBe(0);
  });

  it("takes over conversations of other providers", async () => {
    const { mull, model } = provider();
    await mull("pico").doGenerate({
      prompt: [
        {
          role: "assistant",
          content: [
            { type: "text", text: "Let me " },
            { type: "text", text: "search." },
            {
              type: "tool-call",
              toolCallId: "1",
              toolName: "search",
              input: "not JSON",
              providerExecuted: true,
            },
            {
              type: "tool-result",
              toolCallId: "1",
              toolName: "search",
              output: { type: "json", value: [1] },
            },
            { type: "text", text: "Found." },
          ],
        },
        {
          role: "tool",
          content: [
            { type: "tool-approval-response", approvalId: "a", approved: false },
            { type: "tool-result", toolCallId: "2", toolName: "rm", output: { type: "execution-denied" } },
            {
              type: "tool-result",
              toolCallId: "3",
              toolName: "ls",
              output: { type: "error-text", value: "No." },
            },
          ],
        },
      ],
    });
    expect(model.requests[0]?.messages).toEqual([
      {
        role: "assistant",
        content: "Let me search.",
        toolCalls: [{ id: "1", name: "search", arguments: { input: "not JSON" } }],
      },
      { role: "tool", toolCallId: "1", toolName: "search", content: "[1]" },
      { role: "assistant", content: "Found." },
      { role: "tool", toolCallId: "2", toolName: "rm", content: "The user did not allow this tool to run." },
      { role: "tool", toolCallId: "3", toolName: "ls", content: "No." },
    ]);
  });
});

describe("structured output", () => {
  it("is asked for by schema, with generateObject and with Output.object", async () => {
    const { mull, model } = provider(() => say('{"colour":', '"red"}'));
    const schema = z.object({ colour: z.string() });
    const { object } = await generateObject({ model: mull("pico"), schema, prompt: "Which?" });
    const { output } = await generateText({
      model: mull("pico"),
      output: Output.object({ schema }),
      prompt: "Which?",
    });
    expect([object, output]).toEqual([{ colour: "red" }, { colour: "red" }]);
    for (const { format } of model.requests) {
      expect(format).toMatchObject({ type: "object", properties: { colour: { type: "string" } } });
    }
  });

  it("is any JSON without a schema", async () => {
    const { mull, model } = provider(() => say("{}"));
    await generateObject({ model: mull("pico"), output: "no-schema", prompt: "Which?" });
    expect(model.requests[0]?.format).toBe("json");
  });
});

describe("streamText", () => {
  it("streams text, thoughts and tool calls as they come", async () => {
    const { mull } = provider(function* () {
      yield { type: "reasoning-start", id: "r" };
      yield { type: "reasoning-delta", id: "r", delta: "Hm." };
      yield { type: "reasoning-end", id: "r" };
      yield* [...say("I ", "look.")].slice(0, -1);
      yield* callTool("look", { at: "x" });
    });
    const result = streamText({
      model: mull("pico"),
      prompt: "What?",
      tools: { look: tool({ inputSchema: z.object({ at: z.string() }) }) },
    });
    const types: string[] = [];
    for await (const part of result.fullStream) types.push(part.type);
    expect(types).toEqual([
      "start",
      "start-step",
      "reasoning-start",
      "reasoning-delta",
      "reasoning-end",
      "text-start",
      "text-delta",
      "text-delta",
      "text-end",
      "tool-input-start",
      "tool-input-delta",
      "tool-input-end",
      "tool-call",
      "finish-step",
      "finish",
    ]);
    expect(await result.finishReason).toBe("tool-calls");
    expect((await result.toolCalls)[0]).toMatchObject({ toolName: "look", input: { at: "x" } });
    expect((await result.response).modelId).toBe("pico");
  });

  it("drops the blank that answers begin with, and no other", async () => {
    const { mull } = provider(() => say(" ", " A", " b", "\n"));
    const result = streamText({ model: mull("pico"), prompt: "What?" });
    const deltas: string[] = [];
    for await (const delta of result.textStream) deltas.push(delta);
    expect(deltas).toEqual(["A", " b", "\n"]);
  });

  it("passes parts on as they are when asked for raw ones", async () => {
    const { mull } = provider();
    const result = streamText({ model: mull("pico"), prompt: "What?", includeRawChunks: true });
    const raw: unknown[] = [];
    for await (const part of result.fullStream) if (part.type === "raw") raw.push(part.rawValue);
    expect(raw).toEqual([...say("A yellow ", "smiley face.")]);
  });

  it("tells of an error after the beginning as a part", async () => {
    const { mull } = provider(function* () {
      yield { type: "text-start", id: "0" };
      yield { type: "text-delta", id: "0", delta: "A" };
      throw new MullError("engine_crashed", "The engine died.");
    });
    const errors: unknown[] = [];
    const result = streamText({
      model: mull("pico"),
      prompt: "What?",
      onError: ({ error }) => void errors.push(error),
    });
    await result.consumeStream();
    expect(errors).toMatchObject([{ code: "engine_crashed", message: "The engine died." }]);
  });

  it("ends the request when it is aborted", async () => {
    const { mull, model } = provider(endless("A "));
    const stop = new AbortController();
    const result = streamText({ model: mull("pico"), prompt: "What?", abortSignal: stop.signal });
    const types: string[] = [];
    for await (const part of result.fullStream) {
      types.push(part.type);
      if (part.type === "text-delta") stop.abort();
    }
    expect(types).toContain("abort");
    expect(types).not.toContain("error");
    expect(model.ended).toBe(1);
  });

  it("ends the request when its stream is cancelled, read or not", async () => {
    for (const read of [true, false]) {
      const { mull, model } = provider(() => say("A ", "B ", "C "));
      const { stream } = await mull("pico").doStream({
        prompt: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
      });
      const reader = stream.getReader();
      if (read) await reader.read();
      await reader.cancel();
      expect(model.ended).toBe(1);
    }
  });
});

describe("errors", () => {
  it("are MullErrors that the SDK knows, and are tried again when that can help", async () => {
    let attempts = 0;
    const { mull } = provider(() => {
      attempts += 1;
      if (attempts > 1) return say("Yes.");
      throw new MullError("server_busy", "512 requests wait.", { details: { retryAfterSeconds: 0 } });
    });
    expect((await generateText({ model: mull("pico"), prompt: "Is it?" })).text).toBe("Yes.");
    expect(attempts).toBe(2);
    attempts = 0;
    expect(await streamText({ model: mull("pico"), prompt: "Is it?" }).text).toBe("Yes.");
    expect(attempts).toBe(2);
  });

  it("are not tried again when they would come again", async () => {
    let attempts = 0;
    const { mull } = provider(() => {
      attempts += 1;
      throw new MullError("context_overflow", "The prompt is too long.", { hint: "Shorten it." });
    });
    const failure = await generateText({ model: mull("pico"), prompt: "Is it?" }).catch(
      (error: unknown) => error,
    );
    expect(attempts).toBe(1);
    expect(MullError.is(failure)).toBe(true);
    expect(APICallError.isInstance(failure)).toBe(true);
    expect(failure).toMatchObject({ code: "context_overflow", hint: "Shorten it.", statusCode: 400 });
  });

  it("of an aborted call are the signal's reason", async () => {
    const { mull } = provider(endless("A"));
    const stop = new AbortController();
    const failure = generateText({ model: mull("pico"), prompt: "Hi", abortSignal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(failure).rejects.toMatchObject({ name: "AbortError" });
  });

  it("say that there is no model that makes pictures", () => {
    const { mull } = provider();
    let failure: unknown;
    try {
      mull.imageModel("pico");
    } catch (error) {
      failure = error;
    }
    expect(NoSuchModelError.isInstance(failure)).toBe(true);
    expect(failure).toMatchObject({ modelId: "pico", modelType: "imageModel" });
  });
});

describe("embeddings", () => {
  it("are of texts", async () => {
    const { mull, model } = provider();
    const result = await embedMany({
      model: mull.embeddingModel("pico"),
      values: ["a", "b"],
      providerOptions: { mull: { dimensions: 2, pooling: "mean" } },
    });
    expect(result.embeddings).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expect(result.usage).toEqual({ tokens: 6 });
    expect(result.warnings).toMatchObject([{ message: 'There is no option "pooling" of mull.' }]);
    expect(model.embedded).toEqual([{ inputs: ["a", "b"], options: { dimensions: 2 } }]);
    expect((await embed({ model: mull.textEmbeddingModel("pico"), value: "a" })).embedding).toEqual([0, 0.5]);
  });

  it("are of pictures, with or without a text", async () => {
    const { mull, model } = provider();
    const { providerMetadata } = await embedMany({
      model: mull.embeddingModel("pico"),
      values: ["", "a cat", "text only"],
      providerOptions: { mull: { images: [BASE64, `data:image/png;base64,${BASE64}`, null] } },
    });
    const image = new Uint8Array(PNG);
    expect(model.embedded[0]?.inputs).toEqual([
      { image, name: "image 1" },
      { image, name: "image 2", text: "a cat" },
      "text only",
    ]);
    expect(providerMetadata?.["mull"]?.["receipts"]).toEqual([RECEIPT, RECEIPT]);
  });

  it("need a place for every picture", async () => {
    const { mull } = provider();
    const failure = embed({
      model: mull.embeddingModel("pico"),
      value: "",
      providerOptions: { mull: { images: [BASE64, BASE64] } },
    });
    await expect(failure).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("the models of a provider", () => {
  it("are loaded once, at the first call, and closed together", async () => {
    const { mull, model, loads } = provider();
    const [a, b] = [mull("pico"), mull.languageModel("pico")];
    expect(loads).toEqual([]);
    await Promise.all([a, b].map((each) => generateText({ model: each, prompt: "Hi" })));
    await embed({ model: mull.embeddingModel("pico"), value: "x" });
    expect(loads).toEqual(["pico"]);
    await mull.close();
    expect(model.closed).toBe(1);
    await expect(generateText({ model: a, prompt: "Hi" })).rejects.toMatchObject({ code: "closed" });
  });

  it("are loaded anew after a load that failed", async () => {
    let loads = 0;
    const mull = createMull({
      load: async () => {
        loads += 1;
        if (loads === 1) throw new MullError("model_not_found", "There is no such model.");
        return fakeModel();
      },
    });
    await expect(generateText({ model: mull("x"), prompt: "Hi" })).rejects.toMatchObject({
      code: "model_not_found",
    });
    expect((await generateText({ model: mull("x"), prompt: "Hi" })).text).toBe("A yellow smiley face.");
  });

  it("go on loading for others when one caller gives up", async () => {
    let finish = (): void => {};
    const model = fakeModel();
    const mull = createMull({ load: () => new Promise((resolve) => (finish = () => resolve(model))) });
    const stop = new AbortController();
    const given = generateText({ model: mull("x"), prompt: "Hi", abortSignal: stop.signal });
    const waiting = generateText({ model: mull("x"), prompt: "Hi" });
    setImmediate(() => stop.abort());
    await expect(given).rejects.toMatchObject({ name: "AbortError" });
    finish();
    expect((await waiting).text).toBe("A yellow smiley face.");
  });

  it("can be a server's", async () => {
    await using server = await loopbackServer({
      "GET /api/models/pico": (_, response) => sendJson(response, INFO),
      "POST /api/stream": (_, response) => {
        sendLines(response, [...say("From ", "afar.")]);
        response.end();
      },
    });
    await using mull = createMull({ baseURL: server.url, apiKey: "k" });
    expect((await generateText({ model: mull("pico"), prompt: "Hi" })).text).toBe("From afar.");
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer k", "Bearer k"]);
    expect(() => createMull({ baseURL: server.url, load: async () => fakeModel() })).toThrow(MullError);
    expect(() => createMull({ baseURL: "ftp://x" })).toThrow("baseURL");
  });
});
