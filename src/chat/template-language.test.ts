import { describe, expect, it } from "vitest";
import { TEMPLATES } from "../../test/support/chat-templates.ts";
import { BUILTIN_TEMPLATES } from "./builtin-templates.ts";
import { templateFeatures } from "./template-features.ts";
import { templateLanguage } from "./template-language.ts";
import { thinkTags } from "./think-tags.ts";

describe("templateLanguage", () => {
  it.each([
    ...Object.values(BUILTIN_TEMPLATES),
    ...Object.values(TEMPLATES),
    "",
    "text",
    "{{ messages[0].content }}",
    "{{- messages[0]['content'] -}}",
    "{{ bos_token }}{{ 'a' }}",
    "{{ index }} {{ range(3) }} {{ print }} {{ iffy }} {{ not x }}",
    "{% if x %}{{ .5 }}{% endif %}",
    "{{ raise_exception('.Prompt') }}",
  ])("is Jinja: %j", (source) => expect(templateLanguage(source)).toBe("jinja"));

  it.each([
    "{{ .Prompt }}",
    "{{.Prompt}}",
    "{{- .Prompt -}}",
    "{{-\n .Prompt }}",
    "[INST] {{ if .System }}x{{ end }}",
    "{{- range $i, $_ := .Messages }}{{ end }}",
    "{{ $x := 1 }}",
    "{{- /* a comment */ -}}",
    '{{ printf "%s" .Prompt }}',
    "{{ json .Messages }}",
    "{{ and (eq 1 1) .Prompt }}",
  ])("is Go: %j", (source) => expect(templateLanguage(source)).toBe("go"));

  it("takes time in proportion to a hostile template", () => {
    for (const piece of ["{{", "{{ ", "{{- -", "{{ if", "{{ eq   "]) {
      expect(templateLanguage(piece.repeat(200_000))).toMatch(/go|jinja/);
    }
    expect(templateLanguage(`{{${" ".repeat(1_000_000)}`)).toBe("jinja");
  });
});

describe("templateFeatures of Go templates", () => {
  it.each([
    ["{{ .Prompt }}", false, false],
    ["{{ if $.Tools }}{{ json $.Tools }}{{ end }}", true, false],
    ["{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}", false, true],
    ["{{ if and .IsThinkSet .Think }}x{{ end }}", false, true],
    ["{{/* .Tools */}}{{ .Prompt }} Tools", false, false],
    ['{{ print ".Tools" }}', false, false],
    ["{{ .Tools", false, false],
  ])("%j", (source, tools, thinking) => expect(templateFeatures(source)).toEqual({ tools, thinking }));

  it("name the tags of thoughts", () => {
    expect(thinkTags("{{ range .Messages }}[THINK]{{ .Thinking }}[/THINK]{{ end }}")).toEqual([
      { open: "[THINK]", close: "[/THINK]" },
    ]);
  });
});
