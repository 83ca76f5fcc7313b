import { describe, expect, it } from "vitest";
import { TEMPLATES, type TemplateName } from "../../test/support/chat-templates.ts";
import { Gbnf } from "../../test/support/gbnf.ts";
import type { Tool } from "../spec/tool.ts";
import { type AnswerGrammarRequest, answerGrammar } from "./answer-grammar.ts";
import { AnswerParser } from "./answer-parser.ts";

const WEATHER: Tool = {
  name: "get_weather",
  parameters: {
    type: "object",
    properties: { city: { $ref: "#/$defs/city" }, days: { type: "integer", minimum: 1, maximum: 7 } },
    required: ["city"],
    $defs: { city: { type: "string", maxLength: 8 } },
  },
};
const RATE: Tool = {
  name: "rate",
  parameters: {
    properties: { city: { $ref: "#/$defs/city" } },
    required: ["city"],
    $defs: { city: { enum: ["Oslo", "Rome"] } },
  },
};
const NOW: Tool = { name: "now" };
const TOOLS = [WEATHER, RATE, NOW];

function grammarOf(name: TemplateName, request: Omit<AnswerGrammarRequest, "template">): Gbnf {
  const grammar = answerGrammar({ ...request, template: TEMPLATES[name] });
  if (grammar === undefined) throw new Error("no grammar");
  return new Gbnf(grammar);
}

const paris = '{"name": "get_weather", "arguments": {"city": "Paris"}}';
const oslo = '{"name": "rate", "arguments": {"city": "Oslo"}}';
const wrong = '{"name": "rate", "arguments": {"city": "Paris"}}';

describe("answerGrammar", () => {
  it("enforces nothing where nothing is asked for", () => {
    const free = { template: TEMPLATES.qwen, tools: TOOLS };
    expect(answerGrammar({ template: TEMPLATES.qwen })).toBeUndefined();
    expect(answerGrammar(free)).toBeUndefined();
    expect(answerGrammar({ ...free, toolChoice: "auto" })).toBeUndefined();
    expect(answerGrammar({ ...free, toolChoice: "none" })).toBeUndefined();
  });

  it.each<[TemplateName, string[], string[]]>([
    [
      "qwen",
      [
        `<tool_call>\n${paris}\n</tool_call>`,
        `<tool_call>${oslo}</tool_call>\n<tool_call>${paris}</tool_call>`,
      ],
      ["Hi", paris, `<tool_call>${wrong}</tool_call>`],
    ],
    ["llama", [paris.replace("arguments", "parameters")], [paris, "Hi", `${paris};${paris}`]],
    [
      "mistral",
      [`[TOOL_CALLS][${paris}]`, `[TOOL_CALLS] [${paris}, ${oslo}]`],
      [`[${paris}]`, "[TOOL_CALLS][]", `[TOOL_CALLS][${wrong}]`],
    ],
    [
      "mistralArgs",
      ['[TOOL_CALLS]rate[ARGS]{"city": "Rome"}[TOOL_CALLS]now[ARGS]{}'],
      ['[TOOL_CALLS]rate[ARGS]{"city": "Paris"}', "[TOOL_CALLS]now[ARGS][]"],
    ],
    ["granite", [`<|tool_call|>[${paris}, ${oslo}]`], [`<|tool_call|>${paris}`]],
    [
      "harmony",
      ['<|channel|>commentary to=functions.rate <|constrain|>json<|message|>{"city": "Oslo"}'],
      ['<|channel|>final<|message|>{"city": "Oslo"}'],
    ],
  ])("a call must come, in the syntax of %s", (name, right, others) => {
    const grammar = grammarOf(name, { tools: TOOLS, toolChoice: "required" });
    expect(right.filter((text) => !grammar.accepts(text))).toEqual([]);
    expect(others.filter((text) => grammar.accepts(text))).toEqual([]);
  });

  it("a named tool is called once", () => {
    const grammar = grammarOf("qwen", { tools: TOOLS, toolChoice: { name: "rate" } });
    expect(grammar.accepts(`<tool_call>\n${oslo}\n</tool_call>`)).toBe(true);
    expect(grammar.accepts(`<tool_call>\n${paris}\n</tool_call>`)).toBe(false);
    expect(grammar.accepts(`<tool_call>${oslo}</tool_call><tool_call>${oslo}</tool_call>`)).toBe(false);
  });

  it("arguments are an object whatever their schema says", () => {
    const grammar = grammarOf("mistralArgs", {
      tools: [{ name: "f", parameters: {} }],
      toolChoice: "required",
    });
    expect(grammar.accepts('[TOOL_CALLS]f[ARGS]{"a": [1]}')).toBe(true);
    expect(grammar.accepts("[TOOL_CALLS]f[ARGS]3")).toBe(false);
  });

  it("a format beside tools: either of both", () => {
    const request = {
      format: { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] },
      tools: TOOLS,
    };
    const grammar = grammarOf("qwen", request);
    expect(grammar.accepts('{"ok": true}')).toBe(true);
    expect(grammar.accepts(`<tool_call>\n${paris}\n</tool_call>`)).toBe(true);
    expect(grammar.accepts("Hi")).toBe(false);
    const must = grammarOf("qwen", { ...request, toolChoice: "required" });
    expect(must.accepts('{"ok": true}')).toBe(false);
    const never = grammarOf("qwen", { ...request, toolChoice: "none" });
    expect(never.accepts(`<tool_call>\n${paris}\n</tool_call>`)).toBe(false);
  });

  it("format json is an object, a schema may be anything", () => {
    expect(grammarOf("qwen", { format: "json" }).accepts('{"a": 1}')).toBe(true);
    expect(grammarOf("qwen", { format: "json" }).accepts("[]")).toBe(false);
    expect(grammarOf("qwen", { format: { type: "array" } }).accepts("[]")).toBe(true);
    expect(grammarOf("harmony", { format: "json" }).accepts('<|channel|>final<|message|>{"a": 1}')).toBe(
      true,
    );
  });

  it("thoughts may come first where the model thinks", () => {
    const thinking = grammarOf("qwenThinking", { format: "json" });
    const answer = '<think>\nHm </thin </ok> {"a"\n</think>\n\n{"a": 1}';
    expect(thinking.accepts(answer)).toBe(true);
    expect(thinking.accepts('{"a": 1}')).toBe(true);
    expect(thinking.accepts("<think>\nHm</think>\n\nno")).toBe(false);
    expect(grammarOf("qwenThinking", { format: "json", think: false }).accepts(answer)).toBe(false);
    expect(grammarOf("qwen", { format: "json" }).accepts(answer)).toBe(false);
    const harmony = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>{}";
    expect(grammarOf("harmony", { format: "json" }).accepts(harmony)).toBe(true);
  });

  it("thoughts that the prompt has opened must end first", () => {
    for (const think of [undefined, false] as const) {
      const request = {
        format: "json" as const,
        prompt: "<|assistant|><think>\n",
        ...(think === undefined ? {} : { think }),
      };
      const grammar = grammarOf("alwaysThinks", request);
      expect(grammar.accepts('Hm.\n</think>\n\n{"a": 1}')).toBe(true);
      expect(grammar.accepts('{"a": 1}')).toBe(false);
    }
  });

  it.each<TemplateName>(["qwen", "llama", "mistral", "mistralArgs", "granite", "harmony", "qwenThinking"])(
    "whatever it lets through, AnswerParser reads as calls: %s",
    (name) => {
      const grammar = grammarOf(name, { tools: TOOLS, toolChoice: "required", think: false });
      let state = 7;
      const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
      const answers = Array.from({ length: 40 }, () => grammar.sample(random, 100)).filter(
        (text) => text !== undefined,
      );
      expect(answers.length).toBeGreaterThan(10);
      const kinds = answers.map((answer) => {
        const parser = new AnswerParser({ template: TEMPLATES[name], tools: true, prompt: "" });
        const events = [...parser.push(answer), ...parser.end()];
        return new Set(events.map(({ type }) => type));
      });
      expect(kinds).toEqual(answers.map(() => new Set(["tool-call"])));
    },
  );

  it("names the tool whose schema cannot be enforced", () => {
    const bad: Tool = { name: "bad", parameters: { type: "object", properties: { a: { not: {} } } } };
    expect(() =>
      answerGrammar({ template: TEMPLATES.qwen, tools: [NOW, bad], toolChoice: "required" }),
    ).toThrow('The schema\'s "not" at bad#/properties/a cannot be enforced.');
  });

  it("refuses a call that cannot come", () => {
    expect(() =>
      answerGrammar({ template: TEMPLATES.qwen, tools: TOOLS, toolChoice: { name: "other" } }),
    ).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  it("takes as many tools as a request may have", () => {
    const tools = Array.from({ length: 128 }, (_, n): Tool => ({
      name: `tool_${n}`,
      parameters: {
        type: "object",
        properties: {
          [`argument_${n}`]: { type: "string", maxLength: 200 },
          kind: { enum: ["a", "b", `c${n}`] },
        },
      },
    }));
    const grammar = grammarOf("qwen", { tools, toolChoice: "required" });
    expect(
      grammar.accepts('<tool_call>\n{"name": "tool_77", "arguments": {"kind": "c77"}}\n</tool_call>'),
    ).toBe(true);
    expect(grammar.mostStacks).toBeLessThan(200);
  });
});
