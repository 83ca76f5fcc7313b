import Anthropic from "@anthropic-ai/sdk";
import { afterEach, describe, expect, it } from "vitest";
import {
  breakWith,
  dialectServer,
  PNG_URL,
  sayAndBreak,
  sayForEver,
  type DialectServer,
} from "../../../test/support/dialect-server.ts";
import { FINISH, INFO, RECEIPT, say } from "../../../test/support/fake-server.ts";
import { MullError } from "../../spec/errors.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { anthropicRoutes } from "./routes.ts";

let server: DialectServer;
let client: Anthropic;

/** A server, and Anthropic's own client that talks to it. */
function start(given: Parameters<typeof dialectServer>[1] = {}): void {
  server = dialectServer(anthropicRoutes, given);
  client = new Anthropic({ apiKey: "none", baseURL: "http://127.0.0.1", maxRetries: 0, fetch: server.fetch });
}

/** Whatever a test did, nothing is held afterwards. */
afterEach(() => {
  if (server.held() > 0) throw new Error(`${server.held()} places and models were not given back.`);
});

const ASKED: Anthropic.MessageCreateParamsNonStreaming = {
  model: "pico",
  max_tokens: 20,
  messages: [{ role: "user", content: "Hi" }],
};
const CALL: StreamPart = { type: "tool-call", toolCall: { id: "toolu_1", name: "f", arguments: { a: 1 } } };
const CALLED: StreamPart = { ...FINISH, reason: "tool-calls" } as StreamPart;

async function failureOf(work: PromiseLike<unknown>): Promise<InstanceType<typeof Anthropic.APIError>> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Anthropic.APIError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

describe("messages", () => {
  it("answer, and ask the model as Anthropic's clients expect", async () => {
    start({ answer: () => [{ type: "media", receipt: RECEIPT }, ...say("Hello", " there.")] });
    const { data: message, response } = await client.messages.create(ASKED).withResponse();
    expect(message).toMatchObject({
      type: "message",
      role: "assistant",
      model: "pico",
      content: [{ type: "text", text: "Hello there." }],
      stop_reason: "end_turn",
      usage: { input_tokens: 10, cache_read_input_tokens: 30, output_tokens: 5 },
      receipts: [RECEIPT],
    });
    expect(message.id).toMatch(/^msg_[0-9a-f]{32}$/);
    expect(response.headers.get("request-id")).toBe(response.headers.get("x-request-id"));
    expect(server.requests[0]).toMatchObject({ temperature: 1, topP: 1, maxTokens: 20, client: "" });
  });

  it("stream, and the client's helper adds them up", async () => {
    start({
      model: { info: { ...INFO, capabilities: ["completion", "thinking"] } },
      answer: () => [
        { type: "reasoning-delta", id: "0", delta: "Hm." },
        ...[...say("Hello", "!")].slice(0, -1),
        CALL,
        CALLED,
      ],
    });
    const stream = client.messages.stream({ ...ASKED, thinking: { type: "enabled", budget_tokens: 1024 } });
    let text = "";
    stream.on("text", (delta) => (text += delta));
    const message = await stream.finalMessage();
    expect(text).toBe("Hello!");
    expect(message).toMatchObject({
      content: [
        { type: "thinking", thinking: "Hm." },
        { type: "text", text: "Hello!" },
        { type: "tool_use", id: "toolu_1", name: "f", input: { a: 1 } },
      ],
      stop_reason: "tool_use",
      usage: { input_tokens: 10, output_tokens: 5 },
    });
    expect(server.requests[0]).toMatchObject({ think: true });
  });

  it("of a model that cannot think are answered without", async () => {
    start();
    await client.messages.create({ ...ASKED, thinking: { type: "enabled", budget_tokens: 1024 } });
    expect(server.requests[0]).not.toHaveProperty("think");
  });

  it("go back and forth with tools", async () => {
    start({
      answer: ({ messages }) => (messages.at(-1)?.role === "tool" ? say("Done.") : [CALL, CALL, CALLED]),
    });
    const tools = [{ name: "f", input_schema: { type: "object" as const } }];
    const first = await client.messages.create({
      ...ASKED,
      tools,
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
    });
    expect(first.content).toHaveLength(1);
    const second = await client.messages.create({
      ...ASKED,
      tools,
      messages: [
        ...ASKED.messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "2" }] },
      ],
    });
    expect(second.content).toMatchObject([{ type: "text", text: "Done." }]);
    expect(server.requests[1]?.messages.slice(1)).toEqual([
      { role: "assistant", content: [], toolCalls: [{ id: "toolu_1", name: "f", arguments: { a: 1 } }] },
      { role: "tool", content: "2", toolCallId: "toolu_1", toolName: "f" },
    ]);
  });

  it("open pictures", async () => {
    start();
    const source = { type: "base64", media_type: "image/png", data: PNG_URL.split(",")[1]! } as const;
    await client.messages.create({
      ...ASKED,
      messages: [
        {
          role: "user",
          content: [
            { type: "image", source },
            { type: "text", text: "?" },
          ],
        },
      ],
    });
    expect(server.requests[0]?.messages[0]?.content).toMatchObject([{ type: "image" }, { type: "text" }]);
  });
});

it("tokens are counted", async () => {
  start();
  const { max_tokens: _, ...asked } = ASKED;
  expect(await client.messages.countTokens({ ...asked, system: "Be brief." })).toEqual({ input_tokens: 40 });
  expect(server.requests).toEqual([]);
});

describe("errors are the client's classes", () => {
  it("an unknown model", async () => {
    start();
    const asked = { ...ASKED, model: "none" };
    for (const work of [
      client.messages.create(asked),
      client.messages.create({ ...asked, stream: true }),
      client.messages.countTokens({ model: "none", messages: ASKED.messages }),
    ]) {
      const error = await failureOf(work);
      expect(error).toBeInstanceOf(Anthropic.NotFoundError);
      expect(error.type).toBe("not_found_error");
      expect(error.requestID).toMatch(/./);
    }
  });

  it("a wrong field", async () => {
    start();
    const error = await failureOf(client.messages.create({ ...ASKED, max_tokens: -1 }));
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error.message).toContain("max_tokens");
  });

  it("a server that is too busy", async () => {
    start({ refuse: new MullError("server_busy", "Too many.", { details: { retryAfterSeconds: 2 } }) });
    const error = await failureOf(client.messages.create(ASKED));
    expect(error).toBeInstanceOf(Anthropic.InternalServerError);
    expect(error).toMatchObject({ status: 529, type: "overloaded_error" });
    expect(error.headers?.get("retry-after")).toBe("2");
  });

  it("a prompt that does not fit, streamed or not", async () => {
    start({ answer: () => breakWith(new MullError("context_overflow", "9 tokens too many.")) });
    for (const stream of [false, true]) {
      const error = await failureOf(client.messages.create({ ...ASKED, stream }));
      expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    }
  });

  it("a failure in the middle of a stream", async () => {
    start({ answer: sayAndBreak });
    const read = async (): Promise<void> => {
      for await (const _ of await client.messages.create({ ...ASKED, stream: true }));
    };
    expect(await failureOf(read())).toMatchObject({ type: "api_error" });
  });
});

it("a client that goes away costs nothing more", async () => {
  start({ answer: sayForEver });
  for await (const event of await client.messages.create({ ...ASKED, stream: true })) {
    if (event.type === "content_block_delta") break;
  }
  for (let turn = 0; turn < 100 && server.held() > 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(server.held()).toBe(0);
});

it("all of it is described", async () => {
  start();
  const response = await server.app.request("/openapi.json");
  const { paths } = (await response.json()) as { paths: Record<string, unknown> };
  expect(Object.keys(paths)).toEqual(expect.arrayContaining(["/v1/messages", "/v1/messages/count_tokens"]));
});
