import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../test/support/chat-templates.ts";
import { readGguf } from "../gguf/read.ts";
import { BUILTIN_TEMPLATES } from "./builtin-templates.ts";
import { type PictureStyle, type PromptPiece, type PromptVariables, buildPrompt } from "./build-prompt.ts";
import type { ChatMessage } from "./chat-message.ts";
import { renderTemplate } from "./render-template.ts";

const CONTROL = ["<s>", "</s>", "<|im_end|>", "<|eot_id|>", "<image>"];

function prompt(
  messages: ChatMessage[],
  template = BUILTIN_TEMPLATES["vicuna_v1"] as string,
  variables: PromptVariables = {},
): Promise<PromptPiece[]> {
  return buildPrompt(messages, {
    controlTokens: CONTROL,
    template,
    render: async (request) => renderTemplate({ template, ...request, bosToken: "<s>", eosToken: "</s>" }),
    ...variables,
  });
}

const ask = (text: string, pictures = 1): ChatMessage => ({
  role: "user",
  parts: [
    ...Array.from({ length: pictures }, (_, index) => ({ type: "image" as const, index })),
    { type: "text", text },
  ],
});
const say = (role: ChatMessage["role"], text: string): ChatMessage => ({
  role,
  parts: [{ type: "text", text }],
});

/** The pieces as LLaVA writes a prompt: `<image>` where a picture is. */
const flat = (pieces: PromptPiece[]): string =>
  pieces.map((piece) => (piece.type === "image" ? "<image>" : piece.text)).join("");

describe("built-in templates give LLaVA's prompts", () => {
  const vicunaSystem =
    "A chat between a curious user and an artificial intelligence assistant. " +
    "The assistant gives helpful, detailed, and polite answers to the user's questions. ";
  const turns = [ask("Q1"), say("assistant", "A1"), say("user", "Q2")];

  it.each([
    ["vicuna_v1", `${vicunaSystem}USER: <image>\nQ1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:`],
    ["mistral_instruct", "[INST] <image>\nQ1 [/INST] A1 </s>[INST] Q2 [/INST]"],
    [
      "chatml_direct",
      "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\nQ1<|im_end|>" +
        "<|im_start|>assistant\nA1<|im_end|><|im_start|>user\nQ2<|im_end|><|im_start|>assistant\n",
    ],
    ["plain", "<image>\nQ1A1Q2"],
  ])("%s", async (name, expected) => {
    expect(flat(await prompt(turns, BUILTIN_TEMPLATES[name]))).toBe(expected);
  });

  it("llava_llama_3", async () => {
    const text = flat(await prompt(turns, BUILTIN_TEMPLATES["llava_llama_3"]));
    expect(text).toMatch(
      /^<\|start_header_id\|>system<\|end_header_id\|>\n\nYou are a helpful language and vision/,
    );
    expect(text.endsWith("Q2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")).toBe(true);
    expect(text).toContain("<|start_header_id|>user<|end_header_id|>\n\n<image>\nQ1<|eot_id|>");
  });

  it("puts the caller's system text in place of the default", async () => {
    const text = flat(await prompt([say("system", "Be brief."), ask("Q1")]));
    expect(text).toBe("Be brief. USER: <image>\nQ1 ASSISTANT:");
  });
});

describe("buildPrompt", () => {
  it("keeps pictures and text in the order given", async () => {
    const parts: ChatMessage["parts"] = [
      { type: "text", text: "Compare " },
      { type: "image", index: 0 },
      { type: "text", text: " with " },
      { type: "image", index: 1 },
    ];
    const pieces = await prompt([{ role: "user", parts }], BUILTIN_TEMPLATES["plain"]);
    expect(pieces).toEqual([
      { type: "text", text: "Compare " },
      { type: "image", index: 0 },
      { type: "text", text: "\n with " },
      { type: "image", index: 1 },
    ]);
  });

  it("never makes a picture out of what a user types", async () => {
    for (const typed of ["<image>", "[img-0]", "[img]", "<__media__>", "[mull-0-0]", "<image>\n<image>"]) {
      const pieces = await prompt([ask(typed, 1)]);
      expect(pieces.filter((piece) => piece.type === "image")).toHaveLength(1);
      expect(flat(pieces).split("<image>\n").slice(1).join("<image>\n")).toContain(typed);
    }
  });

  it("cuts control tokens in a user's text apart, so that they stay text", async () => {
    const anything = fc.array(fc.oneof(fc.constantFrom(...CONTROL, "<", "/s>", "im_end"), fc.string()), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(anything, async (words) => {
        const typed = words.join("");
        const pieces = await prompt([say("user", typed)], BUILTIN_TEMPLATES["plain"]);
        expect(flat(pieces)).toBe(typed);
        const whole = CONTROL.filter((token) =>
          pieces.some((piece) => piece.type === "text" && piece.text.includes(token)),
        );
        expect(whole).toEqual([]);
      }),
    );
  });

  it("refuses a template that drops a picture", async () => {
    await expect(prompt([ask("Q")], "{{ messages | length }}")).rejects.toMatchObject({
      code: "template_failed",
    });
  });

  it("serves templates that read typed parts only", async () => {
    const typed =
      "{% for m in messages %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}" +
      "{% endfor %}{% endfor %}";
    expect(flat(await prompt([ask("Q1")], typed))).toBe("<image>\nQ1");
  });
});

describe("tools", () => {
  const tools = [
    { name: "weather", description: "Weather of <|im_end|>.", parameters: { type: "object" as const } },
    { name: "clock" },
  ];
  const conversation: ChatMessage[] = [
    say("user", "How warm?"),
    {
      ...say("assistant", ""),
      toolCalls: [
        { id: "call_1", name: "weather", arguments: { city: "Ulm</s>" } },
        { id: "call_2", name: "clock", arguments: {} },
      ],
    },
    { ...say("tool", "21 </s> degrees"), toolCallId: "call_1", toolName: "weather" },
    { ...say("tool", "noon"), toolCallId: "call_2" },
  ];
  const pico = async (): Promise<string> =>
    (await readGguf("models/pico/pico.gguf")).string("tokenizer.chat_template") as string;
  const all: [string, () => Promise<string>][] = [
    ...Object.entries({ ...TEMPLATES, ...BUILTIN_TEMPLATES }).map(
      ([name, template]): [string, () => Promise<string>] => [name, async () => template],
    ),
    ["pico", pico],
  ];

  it.each(all)(
    "are told with their calls and results by %s, and create no control token",
    async (_, read) => {
      const pieces = await prompt(conversation, await read(), { tools });
      const text = flat(pieces);
      for (const part of [
        "weather",
        "clock",
        "Weather of <|im_end|>.",
        "Ulm</s>",
        "21 </s> degrees",
        "noon",
        "How warm?",
      ]) {
        expect(text).toContain(part);
      }
      const whole = pieces.map((piece) => (piece.type === "text" ? piece.text : ""));
      for (const part of ["Weather of <|im_end|>", "Ulm</s>", "21 </s>"]) {
        expect(whole.filter((piece) => piece.includes(part))).toEqual([]);
      }
      const [first, result] = [text.indexOf("How warm?"), text.lastIndexOf("21 </s> degrees")];
      expect(first).toBeLessThan(result);
      expect(text.slice(first)).toMatch(/weather[^]*Ulm[^]*21 /);
    },
  );

  it.each(all)("go with a picture in %s", async (_, read) => {
    const pieces = await prompt([ask("What is it?")], await read(), { tools });
    expect(pieces.filter((piece) => piece.type === "image")).toHaveLength(1);
    expect(flat(pieces)).toContain("clock");
  });

  it("are written in the template's own way", async () => {
    const text = flat(await prompt(conversation, TEMPLATES.qwen, { tools: tools.slice(1) }));
    expect(text).toContain(
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm</s>"}}\n</tool_call>\n<tool_call>\n{"name": "clock"',
    );
    expect(text).toContain(
      "<tool_response>\n21 </s> degrees\n</tool_response>\n<tool_response>\nnoon\n</tool_response>",
    );
    expect(text).not.toContain("You can call tools");
  });

  it("keep arguments readable where the template pastes them as text", async () => {
    const text = flat(await prompt(conversation, TEMPLATES.jsonArguments, { tools }));
    expect(text).toContain('{"name": "weather", "arguments": {"city":"Ulm</s>"}}');
  });

  it("are called one by one where the template knows no more", async () => {
    const text = flat(await prompt(conversation, TEMPLATES.llama, { tools }));
    expect(text).toMatch(/"weather", "parameters"[^]*21 [^]*"clock", "parameters"[^]*noon/);
  });

  it("are not told of when the choice is none, and one only when it is named", async () => {
    for (const template of [TEMPLATES.qwen, BUILTIN_TEMPLATES["vicuna_v1"]]) {
      const question = [say("user", "How warm?")];
      const none = flat(await prompt(question, template, { tools, toolChoice: "none" }));
      expect(none).toBe(flat(await prompt(question, template)));
      const named = flat(await prompt(question, template, { tools, toolChoice: { name: "clock" } }));
      expect(named).toContain("clock");
      expect(named).not.toContain("weather");
    }
  });

  it("get results back whose calls they do not name: by the tool's name, or in order", async () => {
    const turns: ChatMessage[] = [
      say("user", "?"),
      {
        role: "assistant",
        parts: [],
        toolCalls: [
          { id: "first1234", name: "a", arguments: {} },
          { id: "second567", name: "b", arguments: {} },
        ],
      },
      { ...say("tool", "of b"), toolName: "b" },
      say("tool", "of a"),
    ];
    const text = flat(await prompt(turns, TEMPLATES.mistral));
    expect(text).toMatch(/of b.*"call_id": "second567".*of a.*"call_id": "first1234"/s);
  });

  it("are explained where the template stumbles over their schema", async () => {
    const picky = `${TEMPLATES.qwen}{% for tool in tools or [] %}{{ tool.function.parameters.properties.of | upper if tool.function.parameters.properties }}{% endfor %}`;
    const tools = [{ name: "of", parameters: { type: "object", properties: { other: {} } } }];
    expect(flat(await prompt([say("user", "?")], picky, { tools }))).toContain("You can call tools.");
  });

  it("are refused when nested deeper than any template could print", async () => {
    const deep = JSON.parse('{"a":'.repeat(20_000) + "1" + "}".repeat(20_000)) as Record<string, unknown>;
    const turns: ChatMessage[] = [
      say("user", "?"),
      { role: "assistant", parts: [], toolCalls: [{ id: "a", name: "b", arguments: deep }] },
    ];
    await expect(prompt(turns, TEMPLATES.qwen)).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("join the caller's own system text", async () => {
    const text = flat(await prompt([say("system", "Be brief."), say("user", "Q")], undefined, { tools }));
    expect(text).toMatch(/^Be brief\.\n\nYou can call tools[^]*"name":"clock"[^]*USER: Q ASSISTANT:$/);
  });
});

describe("thoughts", () => {
  const question = [say("user", "Q")];

  it("are told by the names that templates know", async () => {
    expect(flat(await prompt(question, TEMPLATES.qwenThinking, { think: false }))).toMatch(
      /<think>\n\n<\/think>\n\n$/,
    );
    expect(flat(await prompt(question, TEMPLATES.qwenThinking, { think: true }))).toMatch(/assistant\n$/);
    expect(flat(await prompt(question, TEMPLATES.harmony, { think: "high" }))).toContain("Reasoning: high");
    expect(flat(await prompt(question, TEMPLATES.harmony))).not.toContain("Reasoning");
  });

  it("are ended in the prompt where the template opens them against the caller's wish", async () => {
    expect(flat(await prompt(question, TEMPLATES.alwaysThinks))).toMatch(/<think>\n$/);
    expect(flat(await prompt(question, TEMPLATES.alwaysThinks, { think: false }))).toMatch(
      /<think>\n\n<\/think>\n\n$/,
    );
  });

  it("of earlier answers are given back", async () => {
    const turn = [...question, { ...say("assistant", "A"), reasoning: "hm </s>" }, say("user", "Q2")];
    const pieces = await prompt(turn, TEMPLATES.qwenThinking);
    expect(flat(pieces)).toContain("<think>\nhm </s>\n</think>\n\nA");
    expect(pieces.some((piece) => piece.type === "text" && piece.text.includes("</s>"))).toBe(false);
  });
});

describe("raw", () => {
  it("takes the contents as they stand", async () => {
    const pieces = await prompt([ask("</s> a"), say("user", " b")], "{{ raise_exception('no') }}", {
      raw: true,
    });
    expect(pieces).toEqual([
      { type: "image", index: 0 },
      { type: "text", text: "</s> a b" },
    ]);
  });
});

it("cuts a control token apart that two parts of a message make together", async () => {
  const parts: ChatMessage["parts"] = [
    { type: "text", text: "<|im_" },
    { type: "text", text: "end|>" },
  ];
  const pieces = await prompt([{ role: "user", parts }], BUILTIN_TEMPLATES["plain"]);
  expect(flat(pieces)).toBe("<|im_end|>");
  expect(pieces).toHaveLength(2);
});

describe("how a family writes messages with pictures", () => {
  const template =
    "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] }}</s>{% endfor %}";
  const styled = (messages: ChatMessage[], pictureStyle: PictureStyle): Promise<PromptPiece[]> =>
    buildPrompt(messages, {
      controlTokens: CONTROL,
      template,
      render: async (request) => renderTemplate({ template, ...request, bosToken: "<s>", eosToken: "</s>" }),
      pictureStyle,
    });

  it("puts nothing between a picture and a text", async () => {
    expect(flat(await styled([ask("Q", 2)], { separator: "" }))).toBe("User: <image><image>Q</s>");
    expect(flat(await styled([ask("Q", 2)], {}))).toBe("User: <image>\n<image>\nQ</s>");
  });

  it("leaves out the space before a message that begins with a picture, and no other", async () => {
    const tight = { separator: "", tight: true };
    expect(flat(await styled([ask("Q")], tight))).toBe("User:<image>Q</s>");
    const late: ChatMessage = {
      role: "user",
      parts: [
        { type: "text", text: "see: " },
        { type: "image", index: 0 },
      ],
    };
    expect(flat(await styled([late, say("user", " Q")], tight))).toBe("User: see: <image></s>User:  Q</s>");
  });
});
