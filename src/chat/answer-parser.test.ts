import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../test/support/chat-templates.ts";
import { AnswerParser } from "./answer-parser.ts";
import { BUILTIN_TEMPLATES } from "./builtin-templates.ts";
import { callsText } from "./tool-text.ts";
import { toolFormat } from "./tool-format.ts";

type Name = keyof typeof TEMPLATES;
/** What came of an answer, neighbours of one kind joined; a call is `[name, arguments]`. */
type Outcome = ({ text: string } | { reasoning: string } | { call: [string, unknown] })[];

interface Setting {
  template?: string;
  tools?: boolean;
  prompt?: string;
}

function parse(pieces: readonly string[], setting: Setting = {}): Outcome {
  const { template = TEMPLATES.qwen, tools = true, prompt = "<|im_start|>assistant\n" } = setting;
  const parser = new AnswerParser({ template, tools, prompt });
  const outcome: Outcome = [];
  for (const event of [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()]) {
    const last = outcome.at(-1);
    if (event.type === "tool-call") {
      outcome.push({ call: [event.toolCall.name, event.toolCall.arguments] });
      continue;
    }
    if (last !== undefined && event.type in last) (last as Record<string, string>)[event.type] += event.delta;
    else outcome.push({ [event.type]: event.delta } as Outcome[number]);
  }
  return outcome;
}

/** UTF-16 units: the finest cut there is. */
const lettersOf = (text: string): string[] => text.split("");

const CALL = {
  name: "weather",
  arguments: { city: "Köln", note: 'a "}</tool_call>" in text', deep: [{ a: 1 }] },
};
const call = { call: ["weather", CALL.arguments] } as const;
const FORMS: readonly Name[] = [
  "qwen",
  "llama",
  "mistral",
  "mistralArgs",
  "granite",
  "harmony",
  "alwaysThinks",
];

describe("AnswerParser", () => {
  it.each(FORMS)("reads a call as %s writes it", (name) => {
    const template = TEMPLATES[name];
    expect(parse([callsText([CALL], toolFormat(template))], { template })).toEqual([call]);
  });

  it.each(FORMS.filter((name) => name !== "harmony"))("reads several calls as %s writes them", (name) => {
    const template = TEMPLATES[name];
    const other = { name: "other", arguments: {} };
    const text = `${callsText([CALL, other], toolFormat(template))}\n`;
    expect(parse([text], { template })).toEqual([call, { call: ["other", {}] }]);
  });

  it("gives every call an id of its own", () => {
    const parser = new AnswerParser({ template: TEMPLATES.qwen, tools: true, prompt: "" });
    const events = parser.push(callsText([CALL, CALL], toolFormat(TEMPLATES.qwen)));
    const ids = events.map((event) => (event.type === "tool-call" ? event.toolCall.id : ""));
    expect(ids).toEqual([0, 1].map(() => expect.stringMatching(/^call_[0-9a-f]{12}$/)));
    expect(new Set(ids).size).toBe(2);
  });

  it("keeps text before and after calls, without the white space between", () => {
    const text = callsText([CALL], toolFormat(TEMPLATES.qwen));
    expect(parse([` Let me see.\n\n${text}\n \n${text}\n\nDone.`])).toEqual([
      { text: " Let me see." },
      call,
      call,
      { text: "Done." },
    ]);
  });

  it.each([
    "<tool_call>",
    "<tool_call>\n{oh no}\n</tool_call> x",
    '<tool_call>{"name": "a"',
    '<tool_call>{"name": "a", "arguments": 5}</tool_call>',
    '<tool_call>{"arguments": {}}</tool_call>',
    "<tool_call>hello</tool_call>",
    '{"name": "a"}',
    '{"name": "a", "arguments": {}, "age": 5}',
    '{"city": "<tool_call>{\\"name\\": \\"a\\", \\"arguments\\": {}}</tool_call>"}',
    "a <tool_c",
    " \n ",
  ])("gives what is no call as the text it was: %j", (text) => {
    expect(parse([text])).toEqual([{ text }]);
  });

  it("reads a good call after a bad one", () => {
    const bad = "<tool_call>\n{bad}\n</tool_call>";
    const good = callsText([CALL], toolFormat(TEMPLATES.qwen));
    expect(parse([`${bad}\n${good}`])).toEqual([{ text: bad }, call]);
  });

  it("takes an answer that is one JSON object for a call only if it looks like one", () => {
    const { llama: template } = TEMPLATES;
    expect(parse(['{"name": "f", "parameters": {"a": 1}}'], { template })).toEqual([
      { call: ["f", { a: 1 }] },
    ]);
    expect(parse(['<|python_tag|>{"name": "f", "parameters": {}}'], { template })).toEqual([
      { call: ["f", {}] },
    ]);
    expect(parse(['{"name": "f", "age": 3}'], { template })).toEqual([{ text: '{"name": "f", "age": 3}' }]);
  });

  it("passes everything through without tools and thoughts", () => {
    const text = ` <think>a</think>${callsText([CALL], toolFormat(TEMPLATES.qwen))} `;
    for (const template of [...Object.values(BUILTIN_TEMPLATES), TEMPLATES.qwen]) {
      const parser = new AnswerParser({ template, tools: false, prompt: "" });
      expect(lettersOf(text).flatMap((letter) => parser.push(letter))).toEqual(
        lettersOf(text).map((delta) => ({ type: "text", delta })),
      );
      expect(parser.end()).toEqual([]);
    }
  });

  it("passes text on at once where no tag may begin", () => {
    const parser = new AnswerParser({ template: TEMPLATES.qwenThinking, tools: true, prompt: "" });
    expect(parser.push("Hello")).toEqual([{ type: "text", delta: "Hello" }]);
    expect(parser.push(" there <tool")).toEqual([{ type: "text", delta: " there" }]);
    expect(parser.push("box>")).toEqual([{ type: "text", delta: " <toolbox>" }]);
  });

  it("passes JSON that is no call on before it ends", () => {
    const parser = new AnswerParser({ template: TEMPLATES.qwen, tools: true, prompt: "" });
    expect(parser.push('{"city": "Kö')).toEqual([{ type: "text", delta: '{"city": "Kö' }]);
  });

  describe("thoughts", () => {
    const template = TEMPLATES.qwenThinking;

    it("stand in tags at the beginning", () => {
      expect(parse(["<think>\nhm\n</think>\n\nYes"], { template })).toEqual([
        { reasoning: "hm" },
        { text: "Yes" },
      ]);
      expect(parse(["\n<think></think>Yes"], { template })).toEqual([{ text: "Yes" }]);
      expect(parse(["Yes <think>no</think>"], { template })).toEqual([{ text: "Yes <think>no</think>" }]);
      expect(parse(["<think>cut of"], { template })).toEqual([{ reasoning: "cut of" }]);
    });

    it("may have been opened by the prompt", () => {
      const opened = { template, prompt: "assistant\n<think>\n" };
      expect(parse(["hm\n</think>\n\nYes"], opened)).toEqual([{ reasoning: "hm" }, { text: "Yes" }]);
      expect(parse(["Yes"], { template, prompt: "<think>\n\n</think>\n\n" })).toEqual([{ text: "Yes" }]);
    });

    it("come before calls, which are none within them", () => {
      const text = callsText([CALL], toolFormat(template));
      expect(parse([`<think>I could ${text}</think>\n${text}`], { template })).toEqual([
        { reasoning: `I could ${text}` },
        call,
      ]);
    });

    it("are left out where a call is enforced although the prompt opened one", () => {
      const text = callsText([CALL], toolFormat(template));
      expect(parse([text], { template, prompt: "<think>\n" })).toEqual([call]);
    });
  });

  it("reads the channels of harmony", () => {
    const { harmony: template } = TEMPLATES;
    const thought = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant";
    expect(parse([`${thought}<|channel|>final<|message|>Yes`], { template })).toEqual([
      { reasoning: "hm" },
      { text: "Yes" },
    ]);
    const given = `<|channel|>commentary to=functions.f <|constrain|>json<|message|>`;
    expect(parse([`${thought}${given}{"a": 1}<|call|>`], { template })).toEqual([
      { reasoning: "hm" },
      { call: ["f", { a: 1 }] },
    ]);
    expect(parse([`${given}{"a": `], { template })).toEqual([{ text: `${given}{"a": ` }]);
    expect(parse(["plain words"], { template })).toEqual([{ text: "plain words" }]);
  });

  describe("whatever an answer is cut into", () => {
    const words = fc.array(
      fc.oneof(
        fc.constantFrom(
          ...FORMS.map((name) => callsText([CALL], toolFormat(TEMPLATES[name]))),
          ..."<think>|</think>|<tool_call>|</tool_call>|[TOOL_CALLS]|[ARGS]|f[CALL_ID]1[ARGS]{}".split("|"),
          ..."<|channel|> <|message|> <|end|> <|start|> <|tool_call|> <|python_tag|> analysis".split(" "),
          '{"name": "f", "arguments": {}}',
          '{"other": ["<tool_call>", {',
          '{"name": "f", "arguments": {"a": "\\"',
          "[",
          "}",
          ",",
          ";",
          " ",
          "\n",
          '"',
          "<",
          "x".repeat(300),
          "word",
        ),
        fc.string({ maxLength: 5 }),
      ),
      { maxLength: 12 },
    );
    const settings = fc.record({
      template: fc.constantFrom(...Object.values(TEMPLATES)),
      tools: fc.boolean(),
      prompt: fc.constantFrom("", "<think>\n"),
    });

    it("gives the same outcome", () => {
      fc.assert(
        fc.property(words, settings, fc.array(fc.nat(), { maxLength: 12 }), (parts, setting, places) => {
          const text = parts.join("");
          const cuts = [...new Set([0, ...places.map((place) => place % (text.length + 1)), text.length])];
          cuts.sort((a, b) => a - b);
          const pieces = cuts.slice(1).map((end, index) => text.slice(cuts[index], end));
          const whole = parse([text], setting);
          expect(parse(pieces, setting)).toEqual(whole);
          expect(parse(lettersOf(text), setting)).toEqual(whole);
        }),
        { numRuns: 1500 },
      );
    });

    it("loses no letter that is in no tag, thought or call", () => {
      const plain = fc.string({
        unit: fc.constantFrom(..."ab <{}[]\n\"'/_tolcah>|".split("")),
        maxLength: 60,
      });
      fc.assert(
        fc.property(
          plain,
          fc.constantFrom(TEMPLATES.qwen, TEMPLATES.llama, TEMPLATES.mistral),
          (text, template) => {
            fc.pre(!text.includes("<think>") && !text.includes("<tool_call>"));
            expect(parse(lettersOf(text), { template })).toEqual(text === "" ? [] : [{ text }]);
          },
        ),
        { numRuns: 1000 },
      );
    });
  });

  it("takes time in proportion to what a model repeats", () => {
    for (const piece of ["<tool_call>{", "<tool_call>", '{"a":', '<tool_call>{"', "<think>", "[", "<"]) {
      const text = piece.repeat(20_000);
      expect(parse([text])).toEqual([{ text }]);
    }
  });
});
