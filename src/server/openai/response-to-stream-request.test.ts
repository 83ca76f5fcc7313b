import { describe, expect, it } from "vitest";
import type { StreamRequest } from "../../spec/model.ts";
import { schemaError } from "../schema-error.ts";
import { responseRequest } from "./response-request.ts";
import { responseToStreamRequest } from "./response-to-stream-request.ts";

async function convert(body: Record<string, unknown>): Promise<StreamRequest> {
  const parsed = responseRequest.safeParse({ model: "pico", input: "Hi", ...body });
  if (!parsed.success) throw schemaError(parsed.error);
  return responseToStreamRequest(parsed.data, async (image, where) => `${where}=${String(image)}`);
}

describe("input", () => {
  it("is a question, with instructions in front", async () => {
    expect(await convert({ instructions: "Be brief." })).toEqual({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
      ],
    });
  });

  it("is messages with pictures in their order", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const { messages } = await convert({
      input: [
        { role: "developer", content: "Be brief." },
        {
          type: "message",
          role: "user",
          content: [
            { type: "input_text", text: "a" },
            { type: "input_image", image_url: "data:,x", detail: "auto" },
            { type: "input_image", file_id: digest, detail: "original", max_tokens: 4 },
          ],
        },
      ],
    });
    expect(messages).toEqual([
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "image", image: "input[1].content[1].image_url=data:,x", detail: "auto" },
          { type: "image", image: `input[1].content[2].file_id=${digest}`, detail: "high", maxTokens: 4 },
        ],
      },
    ]);
  });

  it("takes back the output of an earlier answer: one turn becomes one message", async () => {
    const call = (id: string): unknown => ({
      type: "function_call",
      id: `fc_${id}`,
      call_id: id,
      name: "f",
      arguments: "{}",
      status: "completed",
    });
    const { messages } = await convert({
      input: [
        { role: "user", content: "Hi" },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "Hm." }] },
        {
          type: "message",
          id: "msg_1",
          status: "completed",
          role: "assistant",
          content: [{ type: "output_text", text: "Wait.", annotations: [], logprobs: [] }],
        },
        call("a"),
        call("b"),
        { type: "function_call_output", call_id: "a", output: "1" },
        {
          type: "function_call_output",
          call_id: "b",
          output: [{ type: "input_image", image_url: "data:,x" }],
        },
        { type: "reasoning", id: "rs_2", summary: [], encrypted_content: "…" },
        { role: "assistant", content: "Done." },
        { role: "assistant", content: "Really." },
      ],
    });
    expect(messages).toEqual([
      { role: "user", content: "Hi" },
      {
        role: "assistant",
        content: [{ type: "text", text: "Wait." }],
        reasoning: "Hm.",
        toolCalls: [
          { id: "a", name: "f", arguments: {} },
          { id: "b", name: "f", arguments: {} },
        ],
      },
      { role: "tool", content: "1", toolCallId: "a", toolName: "f" },
      {
        role: "tool",
        content: [{ type: "image", image: "input[6].output[0].image_url=data:,x" }],
        toolCallId: "b",
        toolName: "f",
      },
      { role: "assistant", content: "Done." },
      { role: "assistant", content: "Really." },
    ]);
  });

  it("leaves out reasoning that holds no text", async () => {
    const { messages } = await convert({
      input: [
        { type: "reasoning", summary: [], encrypted_content: "…" },
        { role: "user", content: "Hi" },
      ],
    });
    expect(messages).toEqual([{ role: "user", content: "Hi" }]);
  });
});

describe("options", () => {
  it("passes on how to answer", async () => {
    const schema = { type: "object" };
    const tools = [{ type: "function", name: "f", parameters: schema, strict: true }];
    expect(
      await convert({
        max_output_tokens: 5,
        temperature: 0,
        top_p: 0.5,
        text: { format: { type: "json_schema", name: "A", schema } },
        reasoning: { effort: "low" },
        truncation: "auto",
        tools,
        tool_choice: { type: "function", name: "f" },
        include: ["message.output_text.logprobs"],
      }),
    ).toMatchObject({
      maxTokens: 5,
      temperature: 0,
      topP: 0.5,
      format: schema,
      think: "low",
      overflow: "shrink",
      tools: [{ name: "f", parameters: schema }],
      toolChoice: { name: "f" },
      logprobs: 0,
    });
    expect(await convert({ top_logprobs: 3 })).toMatchObject({ logprobs: 3 });
  });

  it("ignores what has no effect here", async () => {
    const request = await convert({
      store: true,
      user: "me",
      include: ["reasoning.encrypted_content"],
      previous_response_id: null,
      conversation: null,
      background: false,
      service_tier: "auto",
    });
    expect(request).toEqual({ messages: [{ role: "user", content: "Hi" }] });
  });

  it.each([
    ["input", { input: undefined }],
    ["input", { input: [] }],
    ["input[0].type", { input: [{ type: "item_reference", id: "msg_1" }] }],
    ["input[0].type", { input: [{ type: "computer_call" }] }],
    ["input[0].role", { input: [{ content: "x" }] }],
    [
      "input[0].content[0].type",
      { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] },
    ],
    ["input[0].content[0].image_url", { input: [{ role: "user", content: [{ type: "input_image" }] }] }],
    [
      "input[0].content[0].file_id",
      { input: [{ role: "user", content: [{ type: "input_image", file_id: "file-1" }] }] },
    ],
    ["input[0].arguments", { input: [{ type: "function_call", call_id: "a", name: "f", arguments: "{" }] }],
    ["tools[0].type", { tools: [{ type: "web_search" }] }],
    ["tool_choice", { tool_choice: "required" }],
    ["text.format.type", { text: { format: { type: "grammar" } } }],
    ["previous_response_id", { previous_response_id: "resp_1" }],
    ["conversation", { conversation: { id: "conv_1" } }],
    ["prompt", { prompt: { id: "pmpt_1" } }],
    ["background", { background: true }],
  ])("names %s when it is wrong", async (place, body) => {
    await expect(convert(body)).rejects.toMatchObject({
      code: "invalid_argument",
      details: { param: place },
    });
  });

  it("says what to do instead of naming an earlier response", async () => {
    await expect(convert({ previous_response_id: "resp_1" })).rejects.toThrow(
      "previous_response_id is not supported: this server keeps no conversations, so send all items as input.",
    );
  });
});
