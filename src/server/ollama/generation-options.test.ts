import { describe, expect, it } from "vitest";
import { fakeContext } from "../../../test/support/fake-server.ts";
import { readOptions } from "./generation-options.ts";

function read(wire: Record<string, unknown>, saved = {}, most?: number): ReturnType<typeof readOptions> {
  return readOptions(wire, saved, most, fakeContext().log);
}

describe("options", () => {
  it("are Ollama's where nothing is said", () => {
    expect(readOptions(undefined, undefined, undefined, fakeContext().log)).toEqual({
      generation: {
        temperature: 0.8,
        topK: 40,
        topP: 0.9,
        minP: 0,
        repeatLastN: 64,
        repeatPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        maxTokens: -1,
      },
      contextLength: undefined,
    });
  });

  it("of the request go before those of the model", () => {
    const { generation, contextLength } = read(
      { temperature: 0, top_k: 5.9, stop: ["a", ""], seed: 7, num_predict: 9, num_ctx: 2048, min_p: null },
      { temperature: 0.3, minP: 0.1, topK: 2 },
    );
    expect(generation).toMatchObject({
      temperature: 0,
      topK: 5,
      stop: ["a"],
      seed: 7,
      maxTokens: 9,
      minP: 0.1,
    });
    expect(contextLength).toBe(2048);
  });

  it.each([
    [{ num_predict: -2 }, { maxTokens: -1 }],
    [{ seed: 2 ** 32 + 5 }, { seed: 5 }],
    [{ top_p: 0 }, { topP: 1e-6 }],
    [{ top_k: -1 }, { topK: 0 }],
    [{ temperature: -1 }, { temperature: 0 }],
  ])("%j mean %j", (wire, generation) => expect(read(wire).generation).toMatchObject(generation));

  it("leave the seed to chance when it is negative", () => {
    expect(read({ seed: -1 }).generation).not.toHaveProperty("seed");
  });

  it("are bounded by what the server allows", () => {
    expect(read({}, {}, 100).generation.maxTokens).toBe(100);
    expect(read({ num_predict: 50 }, {}, 100).generation.maxTokens).toBe(50);
    expect(read({ num_predict: 500 }, {}, 100).generation.maxTokens).toBe(100);
  });

  it.each([
    [{ num_ctx: "2048" }, 'option "num_ctx" must be of type integer'],
    [{ temperature: "hot" }, 'option "temperature" must be of type float32'],
    [{ use_mmap: 1 }, 'option "use_mmap" must be of type boolean'],
    [{ stop: "a" }, 'option "stop" must be of type array'],
    [{ stop: [1] }, 'option "stop" must be of an array of strings'],
  ])("%j are refused in Ollama's words", (wire, message) => expect(() => read(wire)).toThrow(message));

  it("that there are not are ignored, with a warning", () => {
    const server = fakeContext();
    readOptions({ mirostat: 1, toString: 2, top_k: 3 }, undefined, undefined, server.log);
    expect(server.lines.map(({ level, fields }) => [level, fields["option"]])).toEqual([
      ["warn", "mirostat"],
      ["warn", "toString"],
    ]);
  });
});
