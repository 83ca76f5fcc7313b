import { describe, expect, it } from "vitest";
import type { StreamPart } from "../spec/stream.ts";
import { AnswerParts } from "./answer-parts.ts";
import type { EnginePart } from "./protocol.ts";

const TIMES = { loadMs: 0, decodeMs: 0 };
const FINISH: EnginePart = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 4, text: 4, image: 0, cached: 0 }, outputTokens: 4 },
  timings: { queueMs: 0, restoreMs: 0, encodeMs: 0, prefillMs: 0, generateMs: 0 },
};

type Parser = ReturnType<ConstructorParameters<typeof AnswerParts>[0]>;

/** Takes text in upper case for thoughts. */
const parser: unknown = {
  push: (delta: string) => [{ type: delta === delta.toUpperCase() ? "reasoning" : "text", delta }],
  end: () => [],
};

function run(parts: readonly EnginePart[]): StreamPart[] {
  const answer = new AnswerParts(() => parser as Parser, [], performance.now());
  return [{ type: "prompt", end: "" } as const, ...parts].flatMap((part) => [...answer.of(part, TIMES)]);
}

describe("AnswerParts", () => {
  it("tells thoughts from text, and counts them", () => {
    const parts = run([
      { type: "text", delta: "HM", tokens: 1 },
      { type: "text", delta: ".", tokens: 2 },
      { type: "text", delta: "Yes", tokens: 4 },
      FINISH,
    ]);
    expect(parts.map(({ type }) => type)).toEqual([
      "reasoning-start",
      "reasoning-delta",
      "reasoning-delta",
      "reasoning-end",
      "text-start",
      "text-delta",
      "text-end",
      "finish",
    ]);
    expect(parts.at(-1)).toMatchObject({ usage: { outputTokens: 4, reasoningTokens: 2 } });
  });

  it("says which stop string was met, and nothing of thoughts when there were none", () => {
    const [, , , finish] = run([
      { type: "text", delta: "Yes", tokens: 1 },
      { ...FINISH, stopString: "END" },
    ]);
    expect(finish).toMatchObject({ type: "finish", stopString: "END" });
    expect(finish).not.toHaveProperty("usage.reasoningTokens");
  });
});
