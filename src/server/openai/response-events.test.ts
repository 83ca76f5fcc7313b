import type OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { FINISH, RECEIPT, say } from "../../../test/support/fake-server.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { ResponseEvents, type ResponseEvent } from "./response-events.ts";
import { responseHead } from "./response-object.ts";

const HEAD = responseHead(
  "resp_1",
  { model: "pico", input: "Hi" },
  { messages: [], temperature: 1, topP: 1 },
);
const CALL: StreamPart = { type: "tool-call", toolCall: { id: "call_1", name: "f", arguments: { a: 1 } } };

function run(parts: Iterable<StreamPart>): { events: ResponseEvent[]; response: ResponseEvents["response"] } {
  const builder = new ResponseEvents(HEAD);
  const events = [...parts].flatMap((part) => builder.push(part));
  return { events, response: builder.response };
}

describe("events", () => {
  it("of a text come in the documented order, numbered without gaps", () => {
    const { events } = run([{ type: "media", receipt: RECEIPT }, ...say("Hello", " there.")]);
    expect(events.map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    expect(events[0]).toMatchObject({ response: { status: "in_progress", output: [], receipts: [RECEIPT] } });
    expect(events.at(-1)).toMatchObject({ response: { status: "completed", usage: { total_tokens: 45 } } });
  });

  it("of thinking, speaking and calling keep their items apart", () => {
    const { events, response } = run([
      { type: "reasoning-delta", id: "0", delta: "Hm" },
      { type: "reasoning-delta", id: "0", delta: "." },
      { type: "text-delta", id: "1", delta: "Wait." },
      CALL,
      CALL,
      { ...FINISH, reason: "tool-calls" } as StreamPart,
    ]);
    const placed = events.filter((event) => "output_index" in event);
    expect(placed.map(({ type, output_index }) => [output_index, type.replace("response.", "")])).toEqual([
      [0, "output_item.added"],
      [0, "reasoning_summary_part.added"],
      [0, "reasoning_summary_text.delta"],
      [0, "reasoning_summary_text.delta"],
      [0, "reasoning_summary_text.done"],
      [0, "reasoning_summary_part.done"],
      [0, "output_item.done"],
      [1, "output_item.added"],
      [1, "content_part.added"],
      [1, "output_text.delta"],
      [1, "output_text.done"],
      [1, "content_part.done"],
      [1, "output_item.done"],
      ...[2, 3].flatMap((index) => [
        [index, "output_item.added"],
        [index, "function_call_arguments.delta"],
        [index, "function_call_arguments.done"],
        [index, "output_item.done"],
      ]),
    ]);
    const output = response.output as OpenAI.Responses.ResponseOutputItem[];
    expect(output).toMatchObject([
      { type: "reasoning", summary: [{ type: "summary_text", text: "Hm." }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "Wait." }] },
      { type: "function_call", call_id: "call_1", name: "f", arguments: '{"a":1}', status: "completed" },
      { type: "function_call", call_id: "call_1" },
    ]);
    expect(new Set(response.output.map(({ id }) => id)).size).toBe(4);
  });

  it("of an answer that was cut say why", () => {
    const { events, response } = run([
      { type: "text-delta", id: "0", delta: "Hel" },
      { ...FINISH, reason: "length" } as StreamPart,
    ]);
    expect(events.at(-1)?.type).toBe("response.incomplete");
    expect(response).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ status: "incomplete", content: [{ text: "Hel" }] }],
    });
  });

  it("of a failure end with it", () => {
    const builder = new ResponseEvents(HEAD);
    const before = [...say("Hel")].slice(0, -1).flatMap((part) => builder.push(part));
    expect(builder.fail({ code: "engine_crashed", message: "Gone." })).toMatchObject({
      type: "response.failed",
      sequence_number: before.length,
      response: { status: "failed", error: { code: "engine_crashed", message: "Gone." } },
    });
  });

  it("nothing comes before the answer does, so that errors can still have a status", () => {
    expect(run([{ type: "media", receipt: RECEIPT }]).events).toEqual([]);
  });

  it("carry log probabilities", () => {
    const logprobs = [{ token: "Hi", bytes: [72, 105], logprob: -0.5, top: [] }];
    const { events, response } = run([{ type: "text-delta", id: "0", delta: "Hi", logprobs }, FINISH]);
    const wire = [{ token: "Hi", bytes: [72, 105], logprob: -0.5, top_logprobs: [] }];
    expect(events.find(({ type }) => type === "response.output_text.delta")).toMatchObject({
      logprobs: wire,
    });
    expect(response.output[0]).toMatchObject({ content: [{ logprobs: wire }] });
  });
});

it("a response echoes what it was asked", () => {
  const head = responseHead(
    "resp_1",
    {
      model: "pico",
      input: "Hi",
      instructions: "Be brief.",
      metadata: { a: "b" },
      tools: [{ type: "function", name: "f" }],
      text: { format: { type: "json_object" } },
    },
    { messages: [], temperature: 0.5, topP: 1 },
  );
  expect(head).toMatchObject({
    store: false,
    previous_response_id: null,
    instructions: "Be brief.",
    metadata: { a: "b" },
    temperature: 0.5,
    text: { format: { type: "json_object" } },
    tools: [{ type: "function", name: "f", parameters: null, strict: false }],
  });
});
