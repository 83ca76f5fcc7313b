import OpenAI from "openai";
import { afterEach, describe, expect, it } from "vitest";
import {
  breakWith,
  dialectServer,
  PNG_URL,
  sayAndBreak,
  sayForEver,
  type DialectServer,
} from "../../../test/support/dialect-server.ts";
import { FINISH, RECEIPT, say } from "../../../test/support/fake-server.ts";
import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { openaiRoutes } from "./routes.ts";

let server: DialectServer;
let client: OpenAI;

/** A server, and OpenAI's own client that talks to it. */
function start(given: Parameters<typeof dialectServer>[1] = {}): void {
  server = dialectServer(openaiRoutes, given);
  client = new OpenAI({
    apiKey: "none",
    baseURL: "http://127.0.0.1/v1",
    maxRetries: 0,
    fetch: server.fetch,
  });
}

/** Whatever a test did, nothing is held afterwards. */
afterEach(() => {
  if (server.held() > 0) throw new Error(`${server.held()} places and models were not given back.`);
});

const HI: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Hi" }];
const CALL: StreamPart = {
  type: "tool-call",
  toolCall: { id: "call_1", name: "add", arguments: { a: 1, b: 2 } },
};
const CALLED: StreamPart = { ...FINISH, reason: "tool-calls" } as StreamPart;

function textOf({ content }: Message): string {
  return typeof content === "string" ? content : "";
}

async function failureOf(work: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OpenAI.APIError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

describe("chat", () => {
  it("answers, and asks the model as OpenAI's clients expect", async () => {
    start();
    const completion = await client.chat.completions.create({ model: "pico", messages: HI });
    expect(completion).toMatchObject({
      object: "chat.completion",
      model: "pico",
      system_fingerprint: "fp_0000000000",
      choices: [{ message: { content: "Hello there." }, finish_reason: "stop" }],
    });
    expect(completion.id).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
    expect(server.requests[0]).toMatchObject({
      messages: [{ role: "user", content: "Hi" }],
      temperature: 1,
      topP: 1,
      client: "",
    });
    expect(server.requests[0]?.signal).toBeInstanceOf(AbortSignal);
  });

  it("streams", async () => {
    start();
    const stream = await client.chat.completions.create({
      model: "pico",
      messages: HI,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).join("")).toBe("Hello there.");
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 45 } });
  });

  it("says at the end of the stream that it is the end", async () => {
    start();
    const response = await server.app.request("/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify({ model: "pico", messages: HI, stream: true }),
    });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const text = await response.text();
    expect(text.startsWith("data: {")).toBe(true);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  });

  it("works with the client's stream helper", async () => {
    start({ answer: () => [{ type: "media", receipt: RECEIPT }, ...say("Hello", " there.")] });
    const stream = client.chat.completions.stream({ model: "pico", messages: HI });
    const deltas: string[] = [];
    stream.on("content", (delta) => deltas.push(delta));
    expect(await stream.finalContent()).toBe("Hello there.");
    expect(deltas).toEqual(["Hello", " there."]);
    expect(await stream.finalChatCompletion()).toMatchObject({ receipts: [RECEIPT] });
  });

  it("gives several answers, from seeds of their own", async () => {
    start({ answer: ({ seed }) => say(`answer ${seed}`) });
    const asked = { model: "pico", messages: HI, n: 3, seed: 7 };
    const { choices, usage } = await client.chat.completions.create(asked);
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual([
      [0, "answer 7"],
      [1, "answer 8"],
      [2, "answer 9"],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 40, completion_tokens: 15 });
    const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
    expect(streamed.choices.map(({ message }) => message.content)).toEqual([
      "answer 7",
      "answer 8",
      "answer 9",
    ]);
  });

  it("parses answers that follow a schema", async () => {
    start({ answer: () => say('{"colour":', '"red"}') });
    const schema = { type: "object", properties: { colour: { type: "string" } } };
    const asked = {
      model: "pico",
      messages: HI,
      response_format: { type: "json_schema", json_schema: { name: "Colour", strict: true, schema } },
    } as const;
    const { choices } = await client.chat.completions.parse(asked);
    expect(choices[0]?.message.parsed).toEqual({ colour: "red" });
    expect(server.requests[0]?.format).toEqual(schema);
  });

  it("has its tools run by the client", async () => {
    start({
      answer: ({ messages }) =>
        messages.at(-1)?.role === "tool" ? say(`It is ${textOf(messages.at(-1)!)}.`) : [CALL, CALLED],
    });
    const add = ({ a, b }: { a: number; b: number }): string => String(a + b);
    const tool = {
      type: "function",
      function: {
        name: "add",
        description: "Adds.",
        parameters: { type: "object" },
        parse: JSON.parse,
        function: add,
      },
    } as const;
    for (const stream of [false, true]) {
      const runner = stream
        ? client.chat.completions.runTools({ model: "pico", messages: HI, tools: [tool], stream: true })
        : client.chat.completions.runTools({ model: "pico", messages: HI, tools: [tool] });
      expect(await runner.finalContent()).toBe("It is 3.");
    }
    expect(server.requests[1]?.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: "",
        toolCalls: [{ id: "call_1", name: "add", arguments: { a: 1, b: 2 } }],
      },
      { role: "tool", content: "3", toolCallId: "call_1", toolName: "add" },
    ]);
  });

  it("gives one call only when it should", async () => {
    start({ answer: () => [CALL, CALL, CALLED] });
    const both = await client.chat.completions.create({ model: "pico", messages: HI });
    expect(both.choices[0]?.message.tool_calls).toHaveLength(2);
    const one = await client.chat.completions.create({
      model: "pico",
      messages: HI,
      parallel_tool_calls: false,
    });
    expect(one.choices[0]?.message.tool_calls).toHaveLength(1);
  });

  it("shows what was thought under both names", async () => {
    start({ answer: () => [{ type: "reasoning-delta", id: "0", delta: "Hm." }, ...say("Yes.")] });
    const { choices } = await client.chat.completions.create({ model: "pico", messages: HI });
    expect(choices[0]?.message).toMatchObject({
      content: "Yes.",
      reasoning_content: "Hm.",
      reasoning: "Hm.",
    });
  });

  it("opens pictures, and not more of them than it should", async () => {
    start({ options: { maxImages: 2 } });
    const picture = { type: "image_url", image_url: { url: PNG_URL, detail: "low" } } as const;
    const ask = (count: number): PromiseLike<unknown> =>
      client.chat.completions.create({
        model: "pico",
        messages: [{ role: "user", content: Array.from({ length: count }, () => picture) }],
      });
    await ask(2);
    const [message] = server.requests[0]!.messages;
    expect(message?.content).toMatchObject([{ type: "image", detail: "low" }, { type: "image" }]);
    const [part] = message!.content;
    const { image } = part as { image: Uint8Array };
    expect(Buffer.from(image.subarray(1, 4)).toString()).toBe("PNG");
    const error = await failureOf(ask(3));
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error" });
    expect(error.message).toContain("3 pictures");
  });

  it("keeps answers as short as the server wants", async () => {
    start({ options: { maxTokens: 8 } });
    await client.chat.completions.create({ model: "pico", messages: HI });
    await client.chat.completions.create({ model: "pico", messages: HI, max_tokens: 5 });
    expect(server.requests.map(({ maxTokens }) => maxTokens)).toEqual([8, 5]);
  });
});

describe("errors are the client's classes", () => {
  const ask = (): Promise<unknown> => client.chat.completions.create({ model: "pico", messages: HI });

  it("an unknown model", async () => {
    start();
    for (const work of [
      client.chat.completions.create({ model: "none", messages: HI }),
      client.chat.completions.create({ model: "none", messages: HI, stream: true }),
      client.completions.create({ model: "none", prompt: "x" }),
      client.responses.create({ model: "none", input: "x" }),
      client.responses.create({ model: "none", input: "x", stream: true }),
      client.embeddings.create({ model: "none", input: "x" }),
      client.models.retrieve("none"),
    ]) {
      const error = await failureOf(work);
      expect(error).toBeInstanceOf(OpenAI.NotFoundError);
      expect(error).toMatchObject({ code: "model_not_found", type: "invalid_request_error" });
    }
  });

  it("a wrong field, with its place", async () => {
    start();
    const error = await failureOf(
      client.chat.completions.create({
        model: "pico",
        messages: HI,
        temperature: "hot" as unknown as number,
      }),
    );
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.param).toBe("temperature");
  });

  it("a picture by URL, which the server does not fetch, before anything is loaded", async () => {
    start({ model: {} });
    const content = [{ type: "image_url", image_url: { url: "https://example.com/cat.png" } } as const];
    const error = await failureOf(
      client.chat.completions.create({ model: "pico", messages: [{ role: "user", content }] }),
    );
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(server.requests).toEqual([]);
  });

  it.each([
    ["rate_limited", OpenAI.RateLimitError, 429, "rate_limit_exceeded"],
    ["server_busy", OpenAI.InternalServerError, 503, "server_is_overloaded"],
  ] as const)("%s", async (code, type, status, wireCode) => {
    start({ refuse: new MullError(code, "Too many.", { details: { retryAfterSeconds: 2 } }) });
    const error = await failureOf(ask());
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ status, code: wireCode });
    expect(error.headers?.get("retry-after")).toBe("2");
  });

  it("a prompt that does not fit, streamed or not", async () => {
    start({ answer: () => breakWith(new MullError("context_overflow", "9 tokens too many.")) });
    for (const stream of [false, true]) {
      const error = await failureOf(client.chat.completions.create({ model: "pico", messages: HI, stream }));
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error.code).toBe("context_length_exceeded");
    }
  });

  it("a failure in the middle of a stream", async () => {
    start({ answer: sayAndBreak });
    const read = async (): Promise<string> => {
      let text = "";
      const stream = await client.chat.completions.create({ model: "pico", messages: HI, stream: true });
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
      return text;
    };
    expect(await failureOf(read())).toMatchObject({ code: "engine_crashed", type: "server_error" });
    const response = await failureOf(client.chat.completions.create({ model: "pico", messages: HI }));
    expect(response).toBeInstanceOf(OpenAI.InternalServerError);
  });
});

describe("a client that goes away", () => {
  it("in the middle of a stream", async () => {
    start({ answer: sayForEver });
    const stream = await client.chat.completions.create({ model: "pico", messages: HI, stream: true, n: 2 });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Once") break;
    expect(await gone()).toBe(0);
  });

  it("while it waits for the whole answer", async () => {
    start({ answer: sayForEver });
    const controller = new AbortController();
    const response = server.app.request("/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify({ model: "pico", messages: HI }),
      signal: controller.signal,
    });
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(server.held()).toBe(2);
    controller.abort();
    expect((await response).status).toBe(499);
    expect(await gone()).toBe(0);
  });

  it("before the answer begins", async () => {
    start({
      answer: async function* (request) {
        await sayForEver(request).next();
        yield* sayForEver(request);
      },
    });
    const response = await server.app.request("/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify({ model: "pico", messages: HI, stream: true }),
      signal: AbortSignal.abort(),
    });
    expect(response.status).toBe(499);
    expect(await gone()).toBe(0);
  });

  /** What was held is given back in a turn of the event loop or two. */
  async function gone(): Promise<number> {
    for (let turn = 0; turn < 100 && server.held() > 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return server.held();
  }
});

describe("completions", () => {
  it("go on with a text", async () => {
    start();
    const { choices, usage } = await client.completions.create({ model: "pico", prompt: "Oh, ", echo: true });
    expect(choices).toEqual([{ index: 0, text: "Oh, Hello there.", logprobs: null, finish_reason: "stop" }]);
    expect(usage?.total_tokens).toBe(45);
    expect(server.requests[0]).toMatchObject({
      messages: [{ role: "user", content: "Oh, " }],
      raw: true,
      maxTokens: 16,
      temperature: 1,
    });
  });

  it("stream, several prompts with several answers each", async () => {
    start({ answer: ({ messages }) => say(textOf(messages[0]!).toUpperCase()) });
    const stream = await client.completions.create({
      model: "pico",
      prompt: ["a", "b"],
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ["", "", "", ""];
    let total: number | undefined;
    for await (const { choices, usage } of stream) {
      for (const { index, text } of choices) texts[index] += text;
      total = usage?.total_tokens ?? total;
    }
    expect(texts).toEqual(["A", "A", "B", "B"]);
    expect(total).toBe(100);
  });
});

describe("responses", () => {
  it("answer", async () => {
    start();
    const response = await client.responses.create({
      model: "pico",
      input: "Hi",
      instructions: "Be brief.",
      store: true,
    });
    expect(response).toMatchObject({
      object: "response",
      status: "completed",
      output_text: "Hello there.",
      store: false,
      temperature: 1,
      usage: { input_tokens: 40, output_tokens: 5 },
    });
    expect(response.id).toMatch(/^resp_[0-9a-f]{32}$/);
    expect(server.requests[0]?.messages[0]).toEqual({ role: "system", content: "Be brief." });
  });

  it("stream every event", async () => {
    start();
    const types: string[] = [];
    let last = -1;
    for await (const event of await client.responses.create({ model: "pico", input: "Hi", stream: true })) {
      types.push(event.type);
      expect(event.sequence_number).toBe(++last);
    }
    expect(types[0]).toBe("response.created");
    expect(types.at(-1)).toBe("response.completed");
  });

  it("work with the client's stream helper", async () => {
    start({
      answer: () => [
        { type: "reasoning-delta", id: "0", delta: "Hm." },
        ...[...say("Hello", "!")].slice(0, -1),
        CALL,
        CALLED,
      ],
    });
    const stream = client.responses.stream({ model: "pico", input: "Hi" });
    let text = "";
    stream.on("response.output_text.delta", ({ delta }) => (text += delta));
    const response = await stream.finalResponse();
    expect(text).toBe("Hello!");
    expect(response.output_text).toBe("Hello!");
    expect(response.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call"]);
  });

  it("are parsed when they follow a schema", async () => {
    start({ answer: () => say('{"colour":"red"}') });
    const response = await client.responses.parse({
      model: "pico",
      input: "Hi",
      text: { format: { type: "json_schema", name: "Colour", schema: { type: "object" }, strict: true } },
    });
    expect(response.output_parsed).toEqual({ colour: "red" });
  });

  it("that fail in the middle say so in an event of their own", async () => {
    start({ answer: sayAndBreak });
    const events = [];
    for await (const event of await client.responses.create({ model: "pico", input: "Hi", stream: true })) {
      events.push(event);
    }
    expect(events.at(-1)).toMatchObject({
      type: "response.failed",
      sequence_number: events.length - 1,
      response: { status: "failed", error: { code: "engine_crashed" } },
    });
    const error = await failureOf(client.responses.create({ model: "pico", input: "Hi" }));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
  });

  it("refuse to go on from an earlier one", async () => {
    start();
    const error = await failureOf(
      client.responses.create({ model: "pico", input: "Hi", previous_response_id: "resp_1" }),
    );
    expect(error).toMatchObject({ status: 400, param: "previous_response_id" });
  });
});

describe("embeddings", () => {
  it("are the same in both encodings", async () => {
    start();
    const input = ["a", "b"];
    // The client asks for base64 unless told otherwise, and decodes it.
    const encoded = await client.embeddings.create({ model: "pico", input, dimensions: 3 });
    const plain = await client.embeddings.create({ model: "pico", input, encoding_format: "float" });
    expect(encoded.data.map(({ embedding }) => Array.from(embedding))).toEqual([
      [1, 0, 0.5],
      [1, 1, 0.5],
    ]);
    expect(plain.data.map(({ embedding }) => embedding)).toEqual([
      [1, 0, 0.5],
      [1, 1, 0.5],
    ]);
    expect(plain.usage).toMatchObject({ prompt_tokens: 8, total_tokens: 8 });
    expect(server.embedded[0]).toMatchObject({ inputs: input, options: { dimensions: 3, truncate: false } });
  });

  it("are of pictures too", async () => {
    start();
    const input = ["a", { image: PNG_URL, text: "b" }] as unknown as string[];
    await client.embeddings.create({ model: "pico", input });
    expect(server.embedded[0]?.inputs).toMatchObject(["a", { text: "b" }]);
  });

  it("of a text that is too long fail", async () => {
    start({
      model: {
        embed: async () => {
          throw new MullError("context_overflow", "Too long.");
        },
      },
    });
    const error = await failureOf(client.embeddings.create({ model: "pico", input: "a" }));
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" });
  });
});

describe("models", () => {
  it("are listed and found", async () => {
    start();
    const { data } = await client.models.list();
    expect(data).toEqual([{ id: "pico:latest", object: "model", created: 0, owned_by: "library" }]);
    expect((await client.models.retrieve("pico")).id).toBe("pico:latest");
  });
});

it("all of it is described", async () => {
  start();
  const response = await server.app.request("/openapi.json");
  expect(response.status).toBe(200);
  const document = (await response.json()) as {
    paths: Record<string, unknown>;
    components: { schemas: Record<string, unknown> };
  };
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining([
      "/v1/models",
      "/v1/models/{model}",
      "/v1/chat/completions",
      "/v1/completions",
      "/v1/responses",
      "/v1/embeddings",
    ]),
  );
  expect(Object.keys(document.components.schemas)).toEqual(
    expect.arrayContaining(["ChatCompletionRequest", "ChatCompletion", "ChatCompletionChunk", "OpenAIError"]),
  );
});
