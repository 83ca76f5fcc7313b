import type OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { FINISH, say } from "../../../test/support/fake-server.ts";
import type { StreamPart } from "../../spec/stream.ts";
import { schemaError } from "../schema-error.ts";
import type { Answer } from "./answer.ts";
import { completionRequest, toStreamRequests } from "./completion-request.ts";
import { completion, CompletionChunks } from "./completion.ts";

const HEAD = { id: "cmpl-1", created: 5, model: "pico", system_fingerprint: "fp_0" };

function parse(body: Record<string, unknown>): ReturnType<typeof toStreamRequests> {
  const parsed = completionRequest.safeParse({ model: "pico", prompt: "Once", ...body });
  if (!parsed.success) throw schemaError(parsed.error);
  return toStreamRequests(parsed.data);
}

function answerOf(text: string): Answer {
  const { usage } = FINISH as Extract<StreamPart, { type: "finish" }>;
  return { text, reasoning: "", toolCalls: [], logprobs: [], receipts: [], reason: "stop", usage };
}

describe("request", () => {
  it("is raw: no template, no saved messages", () => {
    expect(parse({ prompt: ["a", "b"], max_tokens: 3, logprobs: 2, stop: "." })).toEqual([
      { messages: [{ role: "user", content: "a" }], raw: true, maxTokens: 3, logprobs: 2, stop: ["."] },
      { messages: [{ role: "user", content: "b" }], raw: true, maxTokens: 3, logprobs: 2, stop: ["."] },
    ]);
  });

  it.each([
    ["prompt", { prompt: undefined }],
    ["prompt[0]", { prompt: [1, 2, 3] }],
    ["prompt[0]", { prompt: [[1, 2], [3]] }],
    ["suffix", { suffix: "end" }],
    ["best_of", { best_of: 3 }],
    ["echo", { echo: true, logprobs: 1 }],
    ["n", { n: 8, prompt: ["a", "b", "c", "d", "e"] }],
    ["max_tokens", { max_tokens: 0 }],
  ])("names %s when it is wrong", (place, body) => {
    expect(() => parse(body)).toThrow(
      expect.objectContaining({ code: "invalid_argument", details: { param: place } }),
    );
  });

  it("says that token ids are not for it", () => {
    expect(() => parse({ prompt: [1, 2] })).toThrow(/token ids are not supported/);
  });
});

describe("answer", () => {
  it("of several prompts counts each prompt once", () => {
    const whole: OpenAI.Completion = completion(HEAD, ["a", "b", "c", "d"].map(answerOf), {
      n: 2,
      begins: ["P ", "P ", "Q ", "Q "],
      withLogprobs: false,
    }) as OpenAI.Completion;
    expect(whole.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "P a"],
      [1, "P b"],
      [2, "Q c"],
      [3, "Q d"],
    ]);
    expect(whole.usage).toMatchObject({ prompt_tokens: 80, completion_tokens: 20 });
  });

  it("in chunks has the echo first, and its offsets go on", () => {
    const chunks = new CompletionChunks(HEAD, { n: 1, begins: [""], withLogprobs: true }, true);
    const token = (text: string): StreamPart => ({
      type: "text-delta",
      id: "0",
      delta: text,
      logprobs: [{ token: text, bytes: [], logprob: -1, top: [{ token: "z", bytes: [], logprob: -2 }] }],
    });
    const all = [token("ab"), token("c"), FINISH].flatMap((part) => chunks.push(0, part));
    expect(all.map(({ choices: [choice] }) => [choice?.text, choice?.logprobs?.text_offset])).toEqual([
      ["ab", [0]],
      ["c", [2]],
      ["", undefined],
    ]);
    expect(all[0]?.choices[0]?.logprobs).toEqual({
      tokens: ["ab"],
      token_logprobs: [-1],
      top_logprobs: [{ z: -2, ab: -1 }],
      text_offset: [0],
    });
    expect(all.at(-1)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.end()).toMatchObject([{ choices: [], usage: { total_tokens: 45 } }]);
  });

  it("in chunks echoes the prompt even when nothing follows", () => {
    const chunks = new CompletionChunks(HEAD, { n: 1, begins: ["Once"], withLogprobs: false }, false);
    expect(chunks.push(0, FINISH).map(({ choices: [choice] }) => choice?.text)).toEqual(["Once", ""]);
    const more = new CompletionChunks(HEAD, { n: 1, begins: ["Once"], withLogprobs: false }, false);
    const texts = [...say(" upon")]
      .flatMap((part) => more.push(0, part))
      .map(({ choices: [choice] }) => choice?.text);
    expect(texts).toEqual(["Once", " upon", ""]);
    expect(more.end()).toEqual([]);
  });
});
