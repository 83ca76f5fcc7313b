import { describe, expect, it } from "vitest";
import { FINISH, RECEIPT, say } from "../../../test/support/fake-server.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { MessageEvents, type MessageEvent, type WireAnswer } from "./message-events.ts";

const CALL: StreamPart = { type: "tool-call", toolCall: { id: "call_1", name: "f", arguments: { a: 1 } } };

function run(parts: Iterable<StreamPart>): { events: MessageEvent[]; message: WireAnswer } {
  const builder = new MessageEvents({ id: "msg_1", model: "pico" });
  const events = [...parts].flatMap((part) => builder.push(part));
  return { events, message: builder.message };
}

function finish(more: object): StreamPart {
  return { ...FINISH, ...more };
}

describe("events", () => {
  it("of a text come in the documented order", () => {
    const { events } = run([{ type: "media", receipt: RECEIPT }, ...say("Hello", "", " there.")]);
    expect(events).toMatchObject([
      {
        type: "message_start",
        message: { id: "msg_1", content: [], stop_reason: null, receipts: [RECEIPT] },
      },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: " there." } },
      { type: "content_block_stop", index: 0 },
      {
        type: "message_delta",
        delta: { stop_reason: "end_turn", stop_sequence: null },
        usage: { input_tokens: 10, cache_read_input_tokens: 30, output_tokens: 5 },
      },
      { type: "message_stop" },
    ]);
  });

  it("of thinking, speaking and calling make blocks of their own", () => {
    const { events, message } = run([
      { type: "reasoning-delta", id: "0", delta: "Hm" },
      { type: "reasoning-delta", id: "0", delta: "." },
      { type: "text-delta", id: "1", delta: "Wait." },
      CALL,
      CALL,
      finish({ reason: "tool-calls" }),
    ]);
    expect(events.map(({ type, index }) => [index, type])).toEqual([
      [undefined, "message_start"],
      [0, "content_block_start"],
      [0, "content_block_delta"],
      [0, "content_block_delta"],
      [0, "content_block_stop"],
      [1, "content_block_start"],
      [1, "content_block_delta"],
      [1, "content_block_stop"],
      [2, "content_block_start"],
      [2, "content_block_delta"],
      [2, "content_block_stop"],
      [3, "content_block_start"],
      [3, "content_block_delta"],
      [3, "content_block_stop"],
      [undefined, "message_delta"],
      [undefined, "message_stop"],
    ]);
    expect(events[8]).toMatchObject({ content_block: { type: "tool_use", name: "f", input: {} } });
    expect(events[9]).toMatchObject({ delta: { type: "input_json_delta", partial_json: '{"a":1}' } });
    expect(message).toMatchObject({
      content: [
        { type: "thinking", thinking: "Hm." },
        { type: "text", text: "Wait." },
        { type: "tool_use", id: "call_1", name: "f", input: { a: 1 } },
        { type: "tool_use", id: "call_1" },
      ],
      stop_reason: "tool_use",
    });
  });

  it.each([
    [{ reason: "length" }, { stop_reason: "max_tokens", stop_sequence: null }],
    [{ stopString: "END" }, { stop_reason: "stop_sequence", stop_sequence: "END" }],
    [{}, { stop_reason: "end_turn", stop_sequence: null }],
  ])("end with why: %j", (more, expected) => {
    expect(run([finish(more)]).message).toMatchObject({ content: [], ...expected });
  });

  it("nothing comes before the answer does, so that errors can still have a status", () => {
    expect(
      run([
        { type: "media", receipt: RECEIPT },
        { type: "text-start", id: "0" },
      ]).events,
    ).toEqual([]);
  });
});
