import { describe, expect, it } from "vitest";
import { buildPrompt, type PromptVariables } from "./build-prompt.ts";
import type { ChatMessage } from "./chat-message.ts";
import { renderTemplate } from "./render-template.ts";

/** The format of Ollama's `llava`. */
const LLAVA = "{{ .System }}\nUSER: {{ .Prompt }}\nASSISTANT: ";
const QWEN = [
  "{{- if or .System .Tools }}<|im_start|>system\n{{ .System }}",
  '{{- if .Tools }}\n<tools>{{ range .Tools }}\n{"type": "function", "function": {{ .Function }}}{{ end }}\n</tools>',
  '\nAnswer <tool_call>{"name": <name>, "arguments": <args>}</tool_call>{{ end }}<|im_end|>\n{{ end }}',
  '{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}{{ if eq .Role "user" }}',
  "<|im_start|>user\n{{ .Content }}<|im_end|>\n",
  '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}{{ range .ToolCalls }}<tool_call>',
  '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</tool_call>{{ end }}<|im_end|>\n',
  '{{ else if eq .Role "tool" }}<|im_start|>user\n<tool_response>{{ .Content }}</tool_response><|im_end|>\n{{ end }}',
  '{{ if and $last (ne .Role "assistant") }}<|im_start|>assistant\n',
  "{{ if and $.IsThinkSet (not $.Think) }}<think>\n\n</think>\n\n{{ end }}{{ end }}{{ end }}",
].join("");

async function prompt(
  template: string,
  messages: readonly ChatMessage[],
  variables: PromptVariables = {},
): Promise<string> {
  const pieces = await buildPrompt(messages, {
    controlTokens: ["</s>", "<|im_end|>"],
    template,
    render: async (request) => renderTemplate({ template, ...request, bosToken: "<s>", eosToken: "</s>" }),
    ...variables,
  });
  return pieces.map((piece) => (piece.type === "image" ? `<image ${piece.index}>` : piece.text)).join("");
}

const say = (role: ChatMessage["role"], text: string): ChatMessage => ({
  role,
  parts: [{ type: "text", text }],
});
const ask = (text: string, index: number): ChatMessage => ({
  role: "user",
  parts: [
    { type: "image", index },
    { type: "text", text },
  ],
});
const tool = { name: "look", description: "Looks.", parameters: { type: "object", properties: {} } };
const called: ChatMessage = {
  ...say("assistant", ""),
  toolCalls: [{ id: "1", name: "look", arguments: { at: "sky" } }],
};

describe("A prompt from a Go template", () => {
  it("goes turn by turn where the template has no messages", async () => {
    expect(await prompt(LLAVA, [ask("What?", 0)])).toBe("\nUSER: <image 0>\nWhat?\nASSISTANT: ");
    const turns = [say("system", "Be brief."), ask("Q1", 0), say("assistant", "A1"), ask("Q2", 1)];
    expect(await prompt(LLAVA, turns)).toBe(
      "Be brief.\nUSER: <image 0>\nQ1\nASSISTANT: A1\nUSER: <image 1>\nQ2\nASSISTANT: ",
    );
  });

  it("ends where the answer begins", async () => {
    const template = "<|user|>{{ .Prompt }}<|end|><|bot|>{{ .Response }}<|end|>";
    expect(await prompt(template, [say("user", "Q")])).toBe("<|user|>Q<|end|><|bot|>");
    expect(await prompt(template, [say("user", "Q"), say("assistant", "A"), say("user", "R")])).toBe(
      "<|user|>Q<|end|><|bot|>A<|end|><|user|>R<|end|><|bot|>",
    );
  });

  it("keeps what a user types from becoming a picture or an action", async () => {
    expect(await prompt(LLAVA, [ask("{{ .System }} [img-0] </s>", 0)])).toBe(
      "\nUSER: <image 0>\n{{ .System }} [img-0] </s>\nASSISTANT: ",
    );
  });

  it("refuses to lose a picture", async () => {
    await expect(prompt("{{ .System }}{{ .Response }}", [ask("What?", 0)])).rejects.toMatchObject({
      code: "template_failed",
    });
  });

  it("tells of tools, calls and results as the template does", async () => {
    const messages = [say("system", "S"), say("user", "Look"), called, say("tool", "blue")];
    expect(await prompt(QWEN, messages, { tools: [tool] })).toBe(
      "<|im_start|>system\nS\n<tools>\n" +
        '{"type": "function", "function": {"name":"look","description":"Looks.","parameters":{"type":"object",' +
        '"properties":{}}}}\n</tools>\nAnswer <tool_call>{"name": <name>, "arguments": <args>}</tool_call><|im_end|>\n' +
        "<|im_start|>user\nLook<|im_end|>\n<|im_start|>assistant\n" +
        '<tool_call>{"name": "look", "arguments": {"at":"sky"}}</tool_call><|im_end|>\n' +
        "<|im_start|>user\n<tool_response>blue</tool_response><|im_end|>\n<|im_start|>assistant\n",
    );
  });

  it("tells of them in words where the template cannot", async () => {
    const text = await prompt(
      LLAVA,
      [say("user", "Look"), called, say("tool", "blue"), say("user", "And?")],
      {
        tools: [tool],
      },
    );
    for (const part of ['"name":"look"', '{"at":"sky"}', "<tool_response>\nblue", "And?"])
      expect(text).toContain(part);
  });

  it("says whether to think: yes unless told otherwise, as Ollama does", async () => {
    const end = "<|im_start|>assistant\n";
    const ask = [say("user", "Q")];
    expect(await prompt(QWEN, ask)).toMatch(new RegExp(`${end.replaceAll("|", "\\|")}$`));
    expect(await prompt(QWEN, ask, { think: false })).toContain(`${end}<think>\n\n</think>\n\n`);
    const level = "{{ .ThinkLevel }}|{{ .Think }}|{{ .IsThinkSet }}|{{ .Prompt }}";
    expect(await prompt(level, ask)).toBe("medium|true|true|Q");
    expect(await prompt(level, ask, { think: "max" })).toBe("max|true|true|Q");
    expect(await prompt(level, ask, { think: false })).toBe("|false|true|Q");
  });
});
