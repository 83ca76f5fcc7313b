import { describe, expect, it } from "vitest";
import type { StreamRequest } from "../../spec/model.ts";
import { schemaError } from "../schema-error.ts";
import { messageRequest } from "./message-request.ts";
import { toStreamRequest } from "./to-stream-request.ts";

async function convert(body: Record<string, unknown>): Promise<StreamRequest> {
  const parsed = messageRequest.safeParse({
    model: "pico",
    max_tokens: 5,
    messages: [{ role: "user", content: "Hi" }],
    ...body,
  });
  if (!parsed.success) throw schemaError(parsed.error);
  return toStreamRequest(parsed.data, async (image, where) => `${where}=${String(image)}`);
}

function user(...content: unknown[]): Record<string, unknown> {
  return { messages: [{ role: "user", content }] };
}

const PICTURE = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };

describe("messages", () => {
  it("says little where the request is silent: thinking is asked for, not assumed", async () => {
    expect(await convert({})).toEqual({
      messages: [{ role: "user", content: "Hi" }],
      maxTokens: 5,
      think: false,
    });
  });

  it("puts the system in front, as text or blocks", async () => {
    const system = [
      { type: "text", text: "A.", cache_control: { type: "ephemeral" } },
      { type: "text", text: "B." },
    ];
    expect((await convert({ system })).messages[0]).toEqual({ role: "system", content: "A.\n\nB." });
    expect((await convert({ system: "C." })).messages[0]).toEqual({ role: "system", content: "C." });
  });

  it("keeps texts and pictures in their order, from every source", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const { messages } = await convert(
      user(
        PICTURE,
        { type: "text", text: "and" },
        { type: "image", source: { type: "url", url: "https://x/y.png" } },
        { type: "image", source: { type: "file", file_id: digest } },
      ),
    );
    expect(messages[0]?.content).toEqual([
      { type: "image", image: "messages[0].content[0].source.data=AAAA" },
      { type: "text", text: "and" },
      { type: "image", image: "messages[0].content[2].source.url=https://x/y.png" },
      { type: "image", image: `messages[0].content[3].source.file_id=${digest}` },
    ]);
  });

  it("makes messages of a tool's answers, in their order among the rest", async () => {
    const { messages } = await convert({
      messages: [
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "A tool.", signature: "s" },
            { type: "redacted_thinking", data: "x" },
            { type: "text", text: "Let me see." },
            { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Rome" } },
          ],
        },
        {
          role: "user",
          content: [
            {
              type: "tool_result",
              tool_use_id: "toolu_1",
              content: [{ type: "text", text: "Sunny" }, PICTURE],
            },
            { type: "tool_result", tool_use_id: "toolu_2", is_error: true },
            { type: "text", text: "So?" },
          ],
        },
      ],
    });
    expect(messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: [{ type: "text", text: "Let me see." }],
        reasoning: "A tool.",
        toolCalls: [{ id: "toolu_1", name: "weather", arguments: { city: "Rome" } }],
      },
      {
        role: "tool",
        content: [
          { type: "text", text: "Sunny" },
          { type: "image", image: "messages[2].content[0].content[1].source.data=AAAA" },
        ],
        toolCallId: "toolu_1",
        toolName: "weather",
      },
      { role: "tool", content: "", toolCallId: "toolu_2" },
      { role: "user", content: [{ type: "text", text: "So?" }] },
    ]);
  });
});

describe("options", () => {
  it("passes on how to choose tokens", async () => {
    expect(
      await convert({
        temperature: 0.5,
        top_p: 0.9,
        top_k: 3,
        stop_sequences: ["x", ""],
        metadata: { user_id: "1" },
      }),
    ).toMatchObject({ temperature: 0.5, topP: 0.9, topK: 3, stop: ["x"], maxTokens: 5 });
  });

  it.each([
    [{ type: "auto" }, "auto"],
    [{ type: "any" }, "required"],
    [{ type: "none" }, "none"],
    [{ type: "tool", name: "f" }, { name: "f" }],
  ])("understands the tool choice %j", async (tool_choice, toolChoice) => {
    const tools = [{ name: "f", description: "d", input_schema: { type: "object" } }];
    expect(await convert({ tools, tool_choice })).toMatchObject({
      tools: [{ name: "f", description: "d", parameters: { type: "object" } }],
      toolChoice,
    });
  });

  it.each([
    [{ thinking: { type: "enabled", budget_tokens: 1024 } }, true],
    [{ thinking: { type: "disabled" } }, false],
    [{ thinking: { type: "adaptive" }, output_config: { effort: "xhigh" } }, "max"],
  ])("understands %j", async (body, think) => {
    expect(await convert(body)).toMatchObject({ think });
  });

  it("understands an output format", async () => {
    const schema = { type: "object" };
    expect(await convert({ output_config: { format: { type: "json_schema", schema } } })).toMatchObject({
      format: schema,
    });
  });

  it.each([
    ["max_tokens", { max_tokens: undefined }],
    ["max_tokens", { max_tokens: 0 }],
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ role: "tool", content: "x" }] }],
    [
      "messages[1].role",
      {
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: "I" },
        ],
      },
    ],
    ["messages[0].content[0].type", user({ type: "document", source: { type: "text", data: "x" } })],
    ["messages[0].content[0].type", user({ type: "server_tool_use", id: "x" })],
    ["messages[0].content[0]", user({ type: "tool_use", id: "x", name: "f", input: {} })],
    [
      "messages[0].content[0]",
      {
        messages: [
          { role: "assistant", content: [{ type: "tool_result", tool_use_id: "x" }] },
          { role: "user", content: "Hi" },
        ],
      },
    ],
    [
      "messages[0].content[0].content[0].type",
      user({ type: "tool_result", tool_use_id: "x", content: [{ type: "document" }] }),
    ],
    ["messages[0].content[0].source.type", user({ type: "image", source: { type: "s3" } })],
    [
      "messages[0].content[0].source.file_id",
      user({ type: "image", source: { type: "file", file_id: "file_1" } }),
    ],
    ["tools[0].type", { tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["tools[0].input_schema", { tools: [{ name: "f" }] }],
    ["tool_choice", { tool_choice: { type: "any" } }],
    ["temperature", { temperature: "hot" }],
    ["stop_sequences", { stop_sequences: "x" }],
  ])("names %s when it is wrong", async (place, body) => {
    await expect(convert(body)).rejects.toMatchObject({
      code: "invalid_argument",
      details: { param: place },
    });
  });
});
