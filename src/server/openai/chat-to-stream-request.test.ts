import { describe, expect, it } from "vitest";
import { schemaError } from "../schema-error.ts";
import type { ReadImage } from "../wire/read-image.ts";
import { chatRequest } from "./chat-request.ts";
import { toStreamRequest } from "./chat-to-stream-request.ts";
import type { StreamRequest } from "../../spec/model.ts";

/** Names the picture by what it was written as, and where. */
const readImage: ReadImage = async (image, where) => `${where}=${String(image)}`;

async function convert(body: Record<string, unknown>): Promise<StreamRequest> {
  const parsed = chatRequest.safeParse({
    model: "pico",
    messages: [{ role: "user", content: "Hi" }],
    ...body,
  });
  if (!parsed.success) throw schemaError(parsed.error);
  return toStreamRequest(parsed.data, readImage);
}

async function refusal(body: Record<string, unknown>): Promise<[param: unknown, message: string]> {
  const error = await convert(body).then(
    () => undefined,
    (thrown: unknown) => thrown as { code: string; message: string; details: Record<string, unknown> },
  );
  expect(error?.code).toBe("invalid_argument");
  return [error?.details["param"], error?.message ?? ""];
}

function user(...content: unknown[]): Record<string, unknown> {
  return { messages: [{ role: "user", content }] };
}

describe("messages", () => {
  it("says nothing where the request is silent", async () => {
    expect(await convert({})).toEqual({ messages: [{ role: "user", content: "Hi" }] });
  });

  it("takes null for what is left out", async () => {
    const silent = ["temperature", "top_p", "seed", "stop", "max_tokens", "n", "tools", "tool_choice"];
    const nulls = Object.fromEntries(silent.map((name) => [name, null]));
    expect(await convert({ ...nulls, response_format: null, stream_options: null })).toEqual({
      messages: [{ role: "user", content: "Hi" }],
    });
  });

  it("keeps texts and pictures in their order, with their budgets", async () => {
    const { messages } = await convert(
      user(
        { type: "image_url", image_url: { url: "data:,a", detail: "low" } },
        { type: "text", text: "and" },
        { type: "image_url", image_url: "data:,b" },
        { type: "image_url", image_url: { url: "data:,c", detail: "original", max_tokens: 9 } },
      ),
    );
    expect(messages[0]?.content).toEqual([
      { type: "image", image: "messages[0].content[0].image_url.url=data:,a", detail: "low" },
      { type: "text", text: "and" },
      { type: "image", image: "messages[0].content[2].image_url=data:,b" },
      {
        type: "image",
        image: "messages[0].content[3].image_url.url=data:,c",
        detail: "high",
        maxTokens: 9,
      },
    ]);
  });

  it("takes pictures that became bytes while the body was parsed", async () => {
    const request = await convert(
      user({ type: "image_url", image_url: { url: new Uint8Array([1, 2]) } }, { type: "text", text: "?" }),
    );
    expect(request.messages[0]?.content[0]).toMatchObject({ type: "image" });
  });

  it("follows a tool from its call to its answer", async () => {
    const { messages } = await convert({
      messages: [
        { role: "developer", content: "Be brief." },
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: null,
          reasoning_content: "I need the tool.",
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } },
          ],
        },
        { role: "tool", tool_call_id: "call_1", content: "Sunny" },
        { role: "assistant", content: "Sunny.", name: "bot" },
      ],
    });
    expect(messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "Weather?" },
      {
        role: "assistant",
        content: "",
        reasoning: "I need the tool.",
        toolCalls: [{ id: "call_1", name: "weather", arguments: { city: "Rome" } }],
      },
      { role: "tool", content: "Sunny", toolCallId: "call_1", toolName: "weather" },
      { role: "assistant", content: "Sunny." },
    ]);
  });

  it.each([
    ["input_audio", { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } }],
    ["file", { type: "file", file: { file_id: "file-1" } }],
    ["video_url", { type: "video_url", video_url: { url: "https://x" } }],
  ])("refuses a part of type %s, naming its place", async (type, part) => {
    const [param, message] = await refusal(user({ type: "text", text: "Hi" }, part));
    expect(param).toBe("messages[0].content[1].type");
    expect(message).toContain(`"${type}"`);
    expect(message).toContain('"image_url"');
  });

  it.each([
    ["messages", { messages: [] }],
    ["messages", { messages: "Hi" }],
    ["messages[0].role", { messages: [{ role: "function", name: "f", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 5 }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["messages[0].content[0].text", user({ type: "text" })],
    ["messages[0].content[0].image_url.url", user({ type: "image_url", image_url: { url: 7 } })],
    [
      "messages[0].content[0].image_url.detail",
      user({ type: "image_url", image_url: { url: "a", detail: "x" } }),
    ],
    ["messages[0].tool_call_id", { messages: [{ role: "tool", content: "x" }] }],
    [
      "messages[0].tool_calls[0].function.arguments",
      {
        messages: [
          {
            role: "assistant",
            tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{" } }],
          },
        ],
      },
    ],
    [
      "messages[0].tool_calls[0].function.arguments",
      {
        messages: [
          { role: "assistant", tool_calls: [{ id: "a", function: { name: "f", arguments: "[1]" } }] },
        ],
      },
    ],
  ])("names %s when it is wrong", async (place, body) => {
    const [param] = await refusal(body);
    expect(param).toBe(place);
  });
});

describe("options", () => {
  it("passes on how to choose tokens", async () => {
    expect(
      await convert({
        temperature: 0.5,
        top_p: 0.9,
        frequency_penalty: 0.1,
        presence_penalty: -0.1,
        seed: 7,
        stop: ["a", "", "b"],
        max_tokens: 5,
        top_k: 3,
        min_p: 0.2,
        repeat_penalty: 1.1,
        overflow: "shrink",
      }),
    ).toMatchObject({
      temperature: 0.5,
      topP: 0.9,
      frequencyPenalty: 0.1,
      presencePenalty: -0.1,
      repeatLastN: -1,
      seed: 7,
      stop: ["a", "b"],
      maxTokens: 5,
      topK: 3,
      minP: 0.2,
      repeatPenalty: 1.1,
      overflow: "shrink",
    });
  });

  it("takes a single stop string, negative seeds, and -1 tokens", async () => {
    expect(await convert({ stop: "x", seed: -1, max_tokens: -1 })).toMatchObject({
      stop: ["x"],
      seed: 2 ** 32 - 1,
      maxTokens: -1,
    });
  });

  it("prefers the newer name of the token limit", async () => {
    expect(await convert({ max_tokens: 5, max_completion_tokens: 6 })).toMatchObject({ maxTokens: 6 });
  });

  it.each([
    ["none", false],
    ["minimal", "low"],
    ["medium", "medium"],
    ["xhigh", "max"],
  ] as const)("understands reasoning effort %s", async (effort, think) => {
    expect(await convert({ reasoning_effort: effort })).toMatchObject({ think });
  });

  it("asks for log probabilities only when told", async () => {
    expect(await convert({ logprobs: true })).toMatchObject({ logprobs: 0 });
    expect(await convert({ logprobs: true, top_logprobs: 4 })).toMatchObject({ logprobs: 4 });
    expect(await convert({ logprobs: false, top_logprobs: 0 })).not.toHaveProperty("logprobs");
  });

  it("understands formats", async () => {
    const schema = { type: "object", properties: { a: { type: "integer" } } };
    expect(await convert({ response_format: { type: "text" } })).not.toHaveProperty("format");
    expect(await convert({ response_format: { type: "json_object" } })).toMatchObject({ format: "json" });
    expect(
      await convert({
        response_format: { type: "json_schema", json_schema: { name: "A", strict: true, schema } },
      }),
    ).toMatchObject({ format: schema });
    expect(
      await convert({ response_format: { type: "json_schema", json_schema: { name: "A" } } }),
    ).toMatchObject({ format: "json" });
  });

  it("understands tools and which to call", async () => {
    const tools = [
      { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } },
    ];
    expect(await convert({ tools, tool_choice: "required" })).toMatchObject({
      tools: [{ name: "f", description: "d", parameters: { type: "object" } }],
      toolChoice: "required",
    });
    expect(
      await convert({ tools, tool_choice: { type: "function", function: { name: "f" } } }),
    ).toMatchObject({ toolChoice: { name: "f" } });
  });

  it("ignores fields that it does not know", async () => {
    const request = await convert({
      user: "me",
      metadata: { a: "b" },
      store: true,
      logit_bias: {},
      whatever: 1,
    });
    expect(request).toEqual({ messages: [{ role: "user", content: "Hi" }] });
  });

  it.each([
    ["model", { model: undefined }],
    ["temperature", { temperature: "hot" }],
    ["temperature", { temperature: 3 }],
    ["top_p", { top_p: -1 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_tokens", { max_tokens: 1.5 }],
    ["n", { n: 9 }],
    ["seed", { seed: 1.5 }],
    ["stop", { stop: Array.from({ length: 17 }, () => "x") }],
    ["stop", { stop: 5 }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
    ["logit_bias", { logit_bias: { 50256: -100 } }],
    ["response_format.type", { response_format: { type: "xml" } }],
    ["response_format.json_schema.name", { response_format: { type: "json_schema", json_schema: {} } }],
    ["tools[0].type", { tools: [{ type: "custom", custom: { name: "x" } }] }],
    ["tools[0].function.name", { tools: [{ type: "function", function: { name: "a b" } }] }],
    ["tool_choice", { tool_choice: "required" }],
    ["tool_choice", { tool_choice: { type: "function", function: { name: "f" } } }],
    ["tool_choice.type", { tool_choice: { type: "allowed_tools", allowed_tools: {} } }],
    ["functions", { functions: [{ name: "f" }] }],
    ["modalities[1]", { modalities: ["text", "audio"] }],
    ["stream", { stream: "yes" }],
    ["reasoning_effort", { reasoning_effort: "extreme" }],
  ])("names %s when it is wrong", async (place, body) => {
    const [param, message] = await refusal(body);
    expect(param).toBe(place);
    expect(message).toContain(place.split(/[.[]/)[0]);
  });
});
