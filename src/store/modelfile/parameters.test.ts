import { describe, expect, it } from "vitest";
import {
  encodeParametersLayer,
  generationOptionsOf,
  loadOptionsOf,
  parametersOf,
  parseParametersLayer,
  readParameters,
} from "./parameters.ts";

describe("A params layer", () => {
  it("is JSON of Ollama's names", () => {
    const text = '{"num_ctx":4096,"stop":["</s>","USER:"],"temperature":0.2}';
    const { parameters, warnings } = parseParametersLayer(text);
    expect(parameters).toEqual({ num_ctx: 4096, stop: ["</s>", "USER:"], temperature: 0.2 });
    expect(warnings).toEqual([]);
    expect(encodeParametersLayer(parameters)).toBe(text);
  });

  it("is read as far as it can be", () => {
    const layer = {
      rope_frequency_base: 1,
      mirostat: 1,
      top_k: "many",
      stop: "x",
      seed: null,
      num_ctx: 2048.9,
    };
    const { parameters, warnings } = parseParametersLayer(JSON.stringify(layer));
    expect(parameters).toEqual({ stop: ["x"], num_ctx: 2048 });
    expect(warnings).toEqual([
      "The parameter 'rope_frequency_base' of this model is ignored.",
      "The parameter 'mirostat' of this model is ignored.",
      `The parameter 'top_k' of this model is ignored: option "top_k" must be of type integer.`,
    ]);
  });

  it.each(["", "[]", "null", "{", '"x"', "7"])("that is %j is ignored with a warning", (text) => {
    expect(parseParametersLayer(text)).toMatchObject({ parameters: {}, warnings: [/no JSON object/] });
  });

  it("cannot reach a prototype", () => {
    const { parameters, warnings } = parseParametersLayer('{"__proto__":{"seed":1},"toString":1}');
    expect(parameters).toEqual({});
    expect(warnings).toHaveLength(2);
  });
});

describe("Parameters", () => {
  it("are our options, and back", () => {
    const generation = {
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      minP: 0.1,
      repeatPenalty: 1.1,
      frequencyPenalty: 0.2,
      presencePenalty: 0.3,
      repeatLastN: -1,
      seed: 7,
      stop: ["a"],
      maxTokens: 9,
    };
    const load = { contextLength: 2048, threads: 4 };
    const parameters = parametersOf(generation, load);
    expect(parameters).toMatchObject({ num_ctx: 2048, num_thread: 4, num_predict: 9, repeat_last_n: -1 });
    expect(readParameters({ ...parameters })).toEqual({ parameters, unknown: [], wrong: [] });
    expect(generationOptionsOf(parameters)).toEqual(generation);
    expect(loadOptionsOf(parameters)).toEqual(load);
  });

  it("that say nothing are left out", () => {
    expect(parametersOf({ stop: [] })).toEqual({});
    expect(loadOptionsOf({ num_ctx: 0, num_thread: -1 })).toEqual({});
    expect(generationOptionsOf({ seed: -1, stop: [""] })).toEqual({ stop: [] });
  });
});
