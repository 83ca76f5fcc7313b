import type OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { FINISH, RECEIPT, say } from "../../../test/support/fake-server.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { collectAnswers } from "./answer.ts";
import { ChatChunks, type ChatChunk } from "./chat-chunks.ts";
import { chatCompletion } from "./chat-completion.ts";
import type { ChoicePart } from "./choices.ts";
import type { CompletionHead } from "./completion-head.ts";

const HEAD: CompletionHead = { id: "chatcmpl-1", created: 5, model: "pico", system_fingerprint: "fp_0" };
const CALL: StreamPart = { type: "tool-call", toolCall: { id: "call_1", name: "f", arguments: { a: [1] } } };
const LOGPROB = {
  token: "Hi",
  bytes: [72, 105],
  logprob: -0.5,
  top: [{ token: "Ho", bytes: [72], logprob: -Infinity }],
};

function chunksOf(parts: Iterable<StreamPart>, includeUsage = false, index = 0): ChatChunk[] {
  const chunks = new ChatChunks(HEAD, includeUsage);
  return [...[...parts].flatMap((part) => chunks.push(index, part)), ...chunks.end()];
}

async function* choices(...answers: Iterable<StreamPart>[]): AsyncGenerator<ChoicePart> {
  for (const [index, parts] of answers.entries()) for (const part of parts) yield { index, part };
}

describe("chunks", () => {
  it("begin with the role, end with the reason", () => {
    const chunks: OpenAI.ChatCompletionChunk[] = chunksOf(say("Hello", " there."));
    expect(chunks.map(({ choices: [choice] }) => [choice?.delta, choice?.finish_reason])).toEqual([
      [{ role: "assistant", content: "", refusal: null }, null],
      [{ content: "Hello" }, null],
      [{ content: " there." }, null],
      [{}, "stop"],
    ]);
    expect(chunks.every((chunk) => chunk.id === HEAD.id && chunk.object === "chat.completion.chunk")).toBe(
      true,
    );
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
  });

  it("nothing comes before the answer does, so that errors can still have a status", () => {
    const before: StreamPart[] = [
      { type: "progress", stage: "prefill", completed: 1, total: 2 },
      { type: "media", receipt: RECEIPT },
      { type: "text-start", id: "0" },
    ];
    expect(chunksOf(before)).toEqual([]);
  });

  it("carry the receipts in the first", () => {
    const chunks = chunksOf([{ type: "media", receipt: RECEIPT }, ...say("x")]);
    expect(chunks.map(({ receipts }) => receipts)).toEqual([[RECEIPT], undefined, undefined]);
  });

  it("say in the last, without choices, what it took", () => {
    const chunks = chunksOf(say("Hello"), true);
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 40,
        completion_tokens: 5,
        total_tokens: 45,
        prompt_tokens_details: { cached_tokens: 30, image_tokens: 36, text_tokens: 4, audio_tokens: 0 },
      },
    });
  });

  it("number tool calls, and tell reasoning from text", () => {
    const chunks = chunksOf([
      { type: "reasoning-start", id: "0" },
      { type: "reasoning-delta", id: "0", delta: "Hm" },
      { type: "reasoning-end", id: "0" },
      CALL,
      CALL,
      { ...FINISH, reason: "tool-calls" } as StreamPart,
    ]);
    const call = { id: "call_1", type: "function", function: { name: "f", arguments: '{"a":[1]}' } };
    expect(chunks.map(({ choices: [choice] }) => choice?.delta).slice(1)).toEqual([
      { reasoning_content: "Hm", reasoning: "Hm" },
      { tool_calls: [{ index: 0, ...call }] },
      { tool_calls: [{ index: 1, ...call }] },
      {},
    ]);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("tool_calls");
  });

  it("carry log probabilities that JSON can hold", () => {
    const chunks = chunksOf([{ type: "text-delta", id: "0", delta: "Hi", logprobs: [LOGPROB] }, FINISH]);
    expect(chunks[1]?.choices[0]?.logprobs?.content).toEqual([
      {
        token: "Hi",
        bytes: [72, 105],
        logprob: -0.5,
        top_logprobs: [{ token: "Ho", bytes: [72], logprob: -9999 }],
      },
    ]);
  });

  it("of several answers keep apart by index, and count the prompt once", () => {
    const chunks = new ChatChunks(HEAD, true);
    const all = [
      ...chunks.push(1, { type: "text-delta", id: "0", delta: "B" }),
      ...chunks.push(0, { type: "text-delta", id: "0", delta: "A" }),
      ...chunks.push(0, FINISH),
      ...chunks.push(1, FINISH),
      ...chunks.end(),
    ];
    expect(
      all.flatMap(({ choices: list }) => list.map(({ index, delta }) => [index, delta.content])),
    ).toEqual([
      [1, ""],
      [1, "B"],
      [0, ""],
      [0, "A"],
      [0, undefined],
      [1, undefined],
    ]);
    expect(all.at(-1)?.usage).toMatchObject({ prompt_tokens: 40, completion_tokens: 10, total_tokens: 50 });
  });
});

describe("a whole completion", () => {
  it("is what OpenAI's would be", async () => {
    const parts: StreamPart[] = [{ type: "media", receipt: RECEIPT }, ...say("Hello", " there.")];
    const completion: OpenAI.ChatCompletion = chatCompletion(
      HEAD,
      await collectAnswers(choices(parts), 1),
      false,
    );
    expect(completion).toMatchObject({
      ...HEAD,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello there.", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: { prompt_tokens: 40, completion_tokens: 5, total_tokens: 45 },
      receipts: [RECEIPT],
    });
    expect(completion.choices[0]?.message).not.toHaveProperty("tool_calls");
    expect(completion.choices[0]?.message).not.toHaveProperty("reasoning");
  });

  it("has no content when it only calls tools", async () => {
    const answers = await collectAnswers(
      choices([CALL, { ...FINISH, reason: "tool-calls" } as StreamPart], say("x")),
      2,
    );
    const completion = chatCompletion(HEAD, answers, false);
    expect(completion.choices[0]).toMatchObject({ message: { content: null }, finish_reason: "tool_calls" });
    expect(completion.choices[0]?.message.tool_calls).toHaveLength(1);
    expect(completion.choices[1]).toMatchObject({ index: 1, message: { content: "x" } });
  });

  it("that is empty is an empty text", async () => {
    const completion = chatCompletion(HEAD, await collectAnswers(choices([FINISH]), 1), true);
    expect(completion.choices[0]).toMatchObject({ message: { content: "" }, logprobs: { content: [] } });
  });
});
