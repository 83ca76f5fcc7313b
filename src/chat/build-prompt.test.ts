import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BUILTIN_TEMPLATES } from "./builtin-templates.ts";
import { type ChatMessage, type PromptPiece, type PromptVariables, buildPrompt } from "./build-prompt.ts";
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
