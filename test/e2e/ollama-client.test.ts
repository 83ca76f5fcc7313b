import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { Ollama } from "ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServer } from "../../src/server/start-server.ts";
import { temporaryFolder } from "../support/tiny-models.ts";

/** Clients as they come from npm, unmodified, against a server with pico on a real socket. */
const folder = temporaryFolder();
let server: Awaited<ReturnType<typeof startServer>>;
let ollama: Ollama;

const smilePath = fileURLToPath(new URL("../../examples/smile.png", import.meta.url));
const smile = readFileSync(smilePath);
const circle = readFileSync(new URL("../../examples/red-circle.png", import.meta.url));

const greedy = { temperature: 0 };
const COLOURS = { type: "object", properties: { colour: { enum: ["red", "blue"] } }, required: ["colour"] };

beforeAll(async () => {
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) vi.stubEnv(name, folder.path);
  server = await startServer({ port: 0 });
  ollama = new Ollama({ host: server.url });
});

afterAll(async () => {
  await server.close();
  vi.unstubAllEnvs();
});

function cosine(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

describe("ollama", () => {
  it("chats about a picture", async () => {
    const { message, done_reason, ...rest } = await ollama.chat({
      model: "pico",
      messages: [{ role: "user", content: "What's in this image?", images: [smile] }],
      options: greedy,
    });
    expect(message).toEqual({ role: "assistant", content: expect.stringMatching(/yellow smiley face/) });
    expect(done_reason).toBe("stop");
    for (const count of ["total_duration", "load_duration", "prompt_eval_count", "eval_count"] as const) {
      expect(Number.isInteger(rest[count])).toBe(true);
    }
    expect(rest.eval_count).toBeGreaterThan(3);
    expect(rest).toMatchObject({ receipts: [{ kind: "image", format: "png", bytes: smile.length }] });
  });

  it("gives the same answer piece by piece", async () => {
    const request = {
      model: "pico:latest",
      messages: [{ role: "user", content: "What colour is it?", images: [circle] }],
      options: greedy,
    };
    const whole = await ollama.chat(request);
    let content = "";
    let last: { done: boolean; eval_count: number } | undefined;
    for await (const part of await ollama.chat({ ...request, stream: true })) {
      content += part.message.content;
      last = part;
    }
    expect(content).toBe(whole.message.content);
    expect(content).toMatch(/red/);
    expect(last).toMatchObject({ done: true, done_reason: "stop", eval_count: whole.eval_count });
  });

  it("remembers what was said", async () => {
    const question = { role: "user", content: "What's in this image?", images: [smile] };
    const { message } = await ollama.chat({ model: "pico", messages: [question], options: greedy });
    const followUp = { role: "user", content: "What colour is it?" };
    const messages = [question, message, followUp];
    const answer = await ollama.chat({ model: "pico", messages, options: greedy });
    expect(answer.message.content).toMatch(/yellow/);
    expect(answer).toMatchObject({ receipts: [{ cached: true }] });
  });

  it("generates, with a picture by its path", async () => {
    const { response, context } = await ollama.generate({
      model: "pico",
      prompt: "What colour is it?",
      images: [smilePath],
      options: greedy,
    });
    expect(response).toMatch(/yellow/);
    expect(context).toBeUndefined();
    let streamed = "";
    const request = { model: "pico", prompt: "What colour is it?", images: [smilePath], options: greedy };
    for await (const part of await ollama.generate({ ...request, stream: true })) streamed += part.response;
    expect(streamed).toBe(response);
  });

  it("ends where it is told to", async () => {
    const messages = [{ role: "user", content: "What's in this image?", images: [smile] }];
    const short = await ollama.chat({ model: "pico", messages, options: { ...greedy, num_predict: 2 } });
    expect(short).toMatchObject({ done_reason: "length", eval_count: 2 });
    const stopped = await ollama.chat({ model: "pico", messages, options: { ...greedy, stop: ["yellow"] } });
    expect(stopped.message.content).toMatch(/^ ?The image features a\s*$/);
  });

  it("fits a schema while it looks at a picture", async () => {
    const { message } = await ollama.chat({
      model: "pico",
      messages: [{ role: "user", content: "What colour is it?", images: [circle] }],
      format: COLOURS,
      options: greedy,
    });
    expect(["red", "blue"]).toContain((JSON.parse(message.content) as { colour: string }).colour);
    const text = {
      type: "object",
      properties: { name: { type: "string", maxLength: 12 } },
      required: ["name"],
    };
    const named = await ollama.generate({
      model: "pico",
      prompt: "Who are you?",
      format: text,
      options: greedy,
    });
    expect((JSON.parse(named.response ?? "") as { name: string }).name.length).toBeLessThanOrEqual(12);
    // A model that knows no JSON would fill a string for ever; that it is a string of an object is all that is sure.
    const free = await ollama.generate({
      model: "pico",
      prompt: "Who are you?",
      format: "json",
      options: { ...greedy, num_predict: 12 },
    });
    expect(free.response).toMatch(/^\{\s*("|\})/);
  });

  it("gives log probabilities", async () => {
    const { logprobs, eval_count } = await ollama.generate({
      model: "pico",
      prompt: "Who are you?",
      logprobs: true,
      top_logprobs: 2,
      options: { ...greedy, num_predict: 4 },
    });
    expect(logprobs).toHaveLength(eval_count);
    expect(logprobs?.[0]?.logprob).toBeLessThanOrEqual(0);
    expect(logprobs?.[0]?.top_logprobs).toHaveLength(2);
  });

  it("takes tools", async () => {
    const { message } = await ollama.chat({
      model: "pico",
      messages: [{ role: "user", content: "What is the weather in Bonn?" }],
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "The weather of a city.",
            parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          },
        },
      ],
      options: { ...greedy, num_predict: 50 },
    });
    expect(message.role).toBe("assistant");
    for (const call of message.tool_calls ?? []) expect(call.function.name).toBe("weather");
  });

  it("embeds texts", async () => {
    const { embeddings } = await ollama.embed({
      model: "pico",
      input: ["a red circle", "a red circle", "six"],
    });
    const [first, same, other] = embeddings as [number[], number[], number[]];
    expect(cosine(first, first)).toBeCloseTo(1, 4);
    expect(cosine(first, same)).toBeCloseTo(1, 4);
    expect(cosine(first, other)).toBeLessThan(0.999);
    const { embedding } = await ollama.embeddings({ model: "pico", prompt: "a red circle" });
    expect(cosine(embedding, first)).toBeCloseTo(1, 4);
    const short = await ollama.embed({ model: "pico", input: "six", dimensions: 8 });
    expect(short.embeddings[0]).toHaveLength(8);
  });

  it("lists and shows models, and says what is loaded", async () => {
    const { models } = await ollama.list();
    expect(models.map(({ name }) => name)).toContain("pico:latest");
    const shown = await ollama.show({ model: "pico" });
    expect(shown.capabilities).toEqual(expect.arrayContaining(["completion", "vision"]));
    expect(shown.details).toMatchObject({ format: "gguf", family: "llama" });
    await ollama.chat({ model: "pico", messages: [], keep_alive: "1h" });
    const running = await ollama.ps();
    expect(running.models.map(({ name }) => name)).toEqual(["pico:latest"]);
    expect(new Date(running.models[0]?.expires_at as unknown as string).getTime()).toBeGreaterThan(
      Date.now(),
    );
    await ollama.generate({ model: "pico", prompt: "", keep_alive: 0 });
    expect((await ollama.ps()).models).toEqual([]);
    expect((await ollama.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("stops when it is told to, and goes on afterwards", async () => {
    const request = {
      model: "pico",
      prompt: "Who are you?",
      options: { num_predict: 900, temperature: 1 },
      raw: true,
    };
    const endless = await ollama.generate({ ...request, stream: true });
    const read = async (): Promise<void> => {
      for await (const part of endless) if (!part.done) endless.abort();
    };
    await expect(read()).rejects.toThrow(/abort/i);
    const { response } = await ollama.generate({ model: "pico", prompt: "Who are you?", options: greedy });
    expect(response).toMatch(/pico/);
  });

  it("says what is wrong", async () => {
    const messages = [{ role: "user", content: "Hi" }];
    await expect(ollama.chat({ model: "nothing", messages })).rejects.toMatchObject({
      status_code: 404,
      message: 'model "nothing" not found, try pulling it first',
    });
    await expect(ollama.chat({ model: "pico", messages, think: true })).rejects.toMatchObject({
      status_code: 400,
      message: '"pico" does not support thinking',
    });
    const broken = [{ role: "user", content: "?", images: [smile.subarray(0, 2000)] }];
    await expect(ollama.chat({ model: "pico", messages: broken })).rejects.toMatchObject({
      status_code: 400,
    });
    const options = { temperature: "hot" as unknown as number };
    await expect(ollama.chat({ model: "pico", messages, options })).rejects.toThrow(
      /must be of type float32/,
    );
  });

  it("answers many at once, each its own question", async () => {
    const ask = async (images: Uint8Array[]): Promise<string> => {
      const messages = [{ role: "user", content: "What colour is it?", images }];
      return (await ollama.chat({ model: "pico", messages, options: greedy })).message.content;
    };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => ask([index % 2 === 0 ? smile : circle])),
    );
    for (const [index, answer] of answers.entries())
      expect(answer).toMatch(index % 2 === 0 ? /yellow/ : /red/);
  });
});

describe("mull's extension of /api/embed", () => {
  it("embeds pictures", async () => {
    const response = await fetch(`${server.url}/api/embed`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: "pico", input: [{ image: smile.toString("base64") }, "a smiley"] }),
    });
    const { embeddings, receipts } = (await response.json()) as {
      embeddings: number[][];
      receipts: unknown[];
    };
    expect(embeddings.map((vector) => Math.round(cosine(vector, vector) * 1e4) / 1e4)).toEqual([1, 1]);
    expect(receipts).toHaveLength(1);
  });
});

describe("LangChain", () => {
  const chat = (fields: object = {}): ChatOllama =>
    new ChatOllama({ baseUrl: server.url, model: "pico", temperature: 0, maxRetries: 0, ...fields });
  const picture = { type: "image_url", image_url: `data:image/png;base64,${circle.toString("base64")}` };
  const question = new HumanMessage({ content: [picture, { type: "text", text: "What colour is it?" }] });

  it("asks about a picture", async () => {
    const answer = await chat().invoke([question]);
    expect(answer.content).toMatch(/red/);
    expect(answer.usage_metadata).toMatchObject({ output_tokens: expect.any(Number) });
    expect(answer.response_metadata["receipts"]).toHaveLength(1);
  });

  it("streams, with a system message", async () => {
    let text = "";
    for await (const chunk of await chat().stream([
      new SystemMessage("Be brief."),
      new HumanMessage("Who are you?"),
    ])) {
      text += chunk.content as string;
    }
    expect(text).not.toBe("");
  });

  it("gets structured output", async () => {
    const structured = chat().withStructuredOutput<{ colour: string }>(COLOURS);
    expect(["red", "blue"]).toContain((await structured.invoke([question])).colour);
  });

  it("embeds", async () => {
    const embeddings = new OllamaEmbeddings({ baseUrl: server.url, model: "pico", maxRetries: 0 });
    const [first, second] = await embeddings.embedDocuments(["a red circle", "six"]);
    expect(cosine(first ?? [], await embeddings.embedQuery("a red circle"))).toBeCloseTo(1, 4);
    expect(second).toHaveLength(first?.length ?? 0);
  });
});
