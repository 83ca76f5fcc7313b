import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../test/support/chat-templates.ts";
import { visibleControlTokens } from "./answer-parser.ts";
import { BUILTIN_TEMPLATES } from "./builtin-templates.ts";
import { templateFeatures } from "./template-features.ts";
import { openedThought, thinkTags } from "./think-tags.ts";
import { toolFormat } from "./tool-format.ts";

describe("toolFormat", () => {
  it.each([
    ["qwen", "hermes", true],
    ["qwenThinking", "hermes", true],
    ["llama", "llama", true],
    ["mistral", "mistral", true],
    ["mistralArgs", "mistral-args", true],
    ["granite", "list", true],
    ["harmony", "harmony", true],
    ["alwaysThinks", "hermes", false],
  ] as const)("%s writes %s", (template, name, native) => {
    expect(toolFormat(TEMPLATES[template])).toMatchObject({ name, native });
  });

  it("teaches Hermes' form to models whose own is not known", () => {
    const xml = "{% if tools %}{{ tools }}<tool_call><function=name>{% endif %}";
    for (const template of [xml, ...Object.values(BUILTIN_TEMPLATES)]) {
      expect(toolFormat(template)).toMatchObject({ name: "hermes", native: false });
    }
  });
});

describe("templateFeatures", () => {
  it("knows templates that read tools from those that only mention them", () => {
    for (const source of [
      "tools",
      "{# tools #}",
      "{{ 'tools' }}",
      "{{ message.tools }}",
      "{{ my_tools }}",
      ...Object.values(BUILTIN_TEMPLATES),
    ]) {
      expect(templateFeatures(source)).toEqual({ tools: false, thinking: false });
    }
    for (const name of ["qwen", "llama", "mistral"] as const) {
      expect(templateFeatures(TEMPLATES[name])).toEqual({ tools: true, thinking: false });
    }
    expect(templateFeatures(TEMPLATES.qwenThinking)).toEqual({ tools: true, thinking: true });
    expect(templateFeatures(TEMPLATES.harmony)).toEqual({ tools: true, thinking: true });
    expect(templateFeatures(TEMPLATES.alwaysThinks)).toEqual({ tools: false, thinking: true });
  });

  it("takes time in proportion to a hostile template, and reads what is never closed", () => {
    for (const piece of ["{{", "{%", "{#", "{{'", '{{"\\']) {
      expect(templateFeatures(piece.repeat(200_000))).toEqual({ tools: false, thinking: false });
    }
  });
});

describe("thinkTags", () => {
  it("names the tags of the template", () => {
    expect(thinkTags(TEMPLATES.qwenThinking)).toEqual([{ open: "<think>", close: "</think>" }]);
    expect(thinkTags("{{ enable_thinking }}[THINK]")).toEqual([{ open: "[THINK]", close: "[/THINK]" }]);
    expect(thinkTags("{{ enable_thinking }}")).toEqual([{ open: "<think>", close: "</think>" }]);
    expect(thinkTags(TEMPLATES.qwen)).toEqual([]);
  });

  it("sees whether a prompt ends in an open thought", () => {
    expect(openedThought(TEMPLATES.qwenThinking, "x<think>\n")?.close).toBe("</think>");
    expect(openedThought(TEMPLATES.qwenThinking, "x<think>\n\n</think>\n\n")).toBeUndefined();
    expect(openedThought(TEMPLATES.qwen, "x<think>\n")).toBeUndefined();
  });
});

it("names the control tokens that must be printed", () => {
  expect(visibleControlTokens(TEMPLATES.qwen)).toEqual(["<tool_call>", "</tool_call>"]);
  expect(visibleControlTokens(TEMPLATES.llama)).toEqual(["<|python_tag|>"]);
  expect(visibleControlTokens(TEMPLATES.mistralArgs)).toEqual(["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"]);
  expect(visibleControlTokens(TEMPLATES.qwenThinking)).toContain("</think>");
  expect(visibleControlTokens(TEMPLATES.harmony)).toContain("<|message|>");
});
