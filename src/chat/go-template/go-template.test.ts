import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TemplateMessage, TemplateTool } from "../template-request.ts";
import { evaluate } from "./evaluate.ts";
import { goValueOf } from "./go-value.ts";
import { parseGoTemplate } from "./parser.ts";
import { renderGoTemplate } from "./render-go-template.ts";
import { GoTemplateError } from "./syntax.ts";

interface Fixture {
  data: unknown;
  tools: TemplateTool[];
  conversations: TemplateMessage[][];
  cases: {
    template: string;
    conversation?: number;
    tools?: boolean;
    variables?: Record<string, unknown>;
    output?: string;
    fails?: boolean;
  }[];
}

const path = new URL("fixtures/text-template.json", import.meta.url);
const { data, tools, conversations, cases } = JSON.parse(readFileSync(path, "utf8")) as Fixture;
const rendered = cases.filter(({ output }) => output !== undefined);
const refused = cases.filter(({ fails }) => fails === true);

function render({ template, conversation, tools: withTools, variables }: Fixture["cases"][number]): string {
  if (conversation === undefined) return evaluate(parseGoTemplate(template), goValueOf(data));
  return renderGoTemplate({
    template,
    messages: conversations[conversation] as TemplateMessage[],
    ...(withTools === true ? { tools } : {}),
    ...(variables === undefined ? {} : { variables }),
  });
}

describe("Go templates", () => {
  it.each(rendered)("$template on conversation $conversation is as Go's", (example) => {
    expect(render(example)).toBe(example.output);
  });

  it.each(refused)("$template is refused, as by Go", (example) => {
    expect(() => render(example)).toThrow(GoTemplateError);
  });

  it.each([
    ['{{ define "a" }}{{ end }}', /line 1: it uses \{\{ define \}\}, which mull does not render/],
    ['a\n{{ template "a" . }}', /line 2: it uses \{\{ template \}\}/],
    ['{{ block "a" . }}{{ end }}', /it uses \{\{ block \}\}/],
    ["{{ html .Prompt }}", /it uses \{\{ html \}\}/],
    ["{{ .Prompt | js }}", /it uses \{\{ js \}\}/],
    ["{{ call .Prompt }}", /it uses \{\{ call \}\}/],
    ["{{ (urlquery .Prompt) }}", /it uses \{\{ urlquery \}\}/],
    ["{{ toUpper .Prompt }}", /the function toUpper is not defined/],
    ["{{ 1i }}", /the number 1i is of a kind that mull does not render/],
    [
      '{{ if .A }}\n\n{{ printf "%x" .A }}{{ end }}',
      /line 3: it uses printf with %x, which mull does not render/,
    ],
    ["{{ range 3 }}{{ . }}{{ end }}{{ if .A }}", /without \{\{ end \}\}/],
  ])("%j is refused by name", (template, message) => {
    expect(() => evaluate(parseGoTemplate(template), goValueOf({ A: "a" }))).toThrow(message);
  });

  it("newer than the fixture's Go may go through numbers, and have else with", () => {
    const template = "{{ range $i := 3 }}{{ $i }}{{ end }}{{ with .No }}1{{ else with .A }}{{ . }}{{ end }}";
    expect(evaluate(parseGoTemplate(template), goValueOf({ A: "a" }))).toBe("012a");
  });

  it("keep the order of properties within a property, as Ollama does", () => {
    const nested = { type: "object", properties: { z: { type: "string" }, a: { type: "string" } } };
    const parameters = { type: "object", properties: { nested, first: {} }, additionalProperties: false };
    const tool: TemplateTool = { type: "function", function: { name: "f", description: "", parameters } };
    const template = "{{ range .Tools }}{{ .Function.Parameters }}{{ end }}{{ range .Messages }}{{ end }}";
    expect(renderGoTemplate({ template, messages: [], tools: [tool] })).toBe(
      '{"type":"object","properties":{"first":{},"nested":' +
        '{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}}}',
    );
  });

  it("know what day it is", () => {
    expect(evaluate(parseGoTemplate('{{ currentDate }} {{ yesterdayDate "2" }}'), undefined)).toMatch(
      /^\d{4}-\d\d-\d\d \d{4}-\d\d-\d\d$/,
    );
  });

  it("end: after so many steps, and so much text", () => {
    const list = goValueOf({ L: Array.from({ length: 1000 }, () => 0) });
    const loops = "{{ range .L }}{{ range $.L }}{{ range $.L }}{{ end }}{{ end }}{{ end }}";
    expect(() => evaluate(parseGoTemplate(loops), list)).toThrow(/more than 5000000 steps/);
    expect(() => evaluate(parseGoTemplate("{{ range 99999999999 }}{{ end }}"), list)).toThrow(/steps/);
    const printing = "{{ range .L }}{{ $.L }}{{ end }}";
    expect(() => evaluate(parseGoTemplate(printing), list, { characters: 10_000 })).toThrow(
      /10000 characters/,
    );
    const doubling = `{{ $x := "aaaaaaaa" }}${'{{ $x = printf "%s%s" $x $x }}'.repeat(60)}`;
    expect(() => evaluate(parseGoTemplate(doubling), list)).toThrow(/characters/);
    expect(() => parseGoTemplate("{{ if .A }}".repeat(100_000))).toThrow(/deeper than 200/);
    expect(() => parseGoTemplate("{{ if .A }}{{ else if .A }}".repeat(50_000))).toThrow(GoTemplateError);
    expect(() => parseGoTemplate(`{{ ${"(".repeat(100_000)}`)).toThrow(/deeper than 200|never ends/);
    expect(() => parseGoTemplate("{{ $x := 1 }}".repeat(100_000))).toThrow(/more than 1000 variables/);
    expect(() => parseGoTemplate("{{ /* ".repeat(100_000))).toThrow(GoTemplateError);
    expect(() => parseGoTemplate(`{{ "${"\\".repeat(100_001)}`)).toThrow(GoTemplateError);
  });

  it("of any text are rendered or refused", () => {
    const pieces = fc.constantFrom(...PIECES);
    const messages = conversations[1] as TemplateMessage[];
    const reached = new Set<boolean>();
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
        reached.add(isRendered(() => renderGoTemplate({ template: parts.join(""), messages, tools })));
      }),
      { numRuns: 3000 },
    );
    expect(reached.size).toBe(2);
  });

  it("made of actions that fit are rendered or refused as well", () => {
    const { operand, nodes } = templates();
    const messages = conversations[6] ?? [];
    const reached = new Set<boolean>();
    fc.assert(
      fc.property(nodes, operand, (text, extra) => {
        const template = `{{ range $i, $m := .Messages }}${text}{{ ${extra} }}{{ end }}`;
        reached.add(isRendered(() => renderGoTemplate({ template, messages, tools })));
      }),
      { numRuns: 2000 },
    );
    expect(reached.size).toBe(2);
  });
});

const PIECES = (
  "{{ }} {{- -}} if else end range with break continue printf len eq index slice and or . .Messages .Role $ $x := = " +
  '| ( ) , " ` \' 1 1.5 "%s" /* */ nil true x {{end}} {{range(.Messages)}}'
)
  .split(" ")
  .flatMap((piece) => [piece, `${piece} `, ` ${piece}`, "\n"]);

/** False when it is refused; anything but a refusal is thrown. */
function isRendered(work: () => string): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof GoTemplateError) return false;
    throw error;
  }
}

function templates(): { operand: fc.Arbitrary<string>; nodes: fc.Arbitrary<string> } {
  return fc.letrec<{ operand: string; node: string; nodes: string }>((tie) => ({
    operand: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(
        ".",
        ".Role",
        ".Content",
        ".ToolCalls",
        "$",
        "$i",
        "$m.Content",
        "$.Messages",
        "$.Tools",
        "nil",
      ),
      fc.constantFrom("1", "-1", "2.5", '"user"', "true", ".Missing", "$.Missing"),
      fc
        .tuple(
          fc.constantFrom("len", "not", "eq", "lt", "index", "slice", "and", "or", "print", "printf", "json"),
          fc.array(tie("operand"), { minLength: 1, maxLength: 3 }),
        )
        .map(([name, operands]) => `(${name} ${operands.join(" ")})`),
    ),
    node: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom("text", "\n ", "{{ break }}", "{{ continue }}"),
      tie("operand").map((operand) => `{{- ${operand} | print -}}`),
      fc
        .tuple(fc.constantFrom("if", "with", "range"), tie("operand"), tie("nodes"), tie("nodes"))
        .map(([kind, operand, body, rest]) => `{{ ${kind} ${operand} }}${body}{{ else }}${rest}{{ end }}`),
    ),
    nodes: fc.array(tie("node"), { maxLength: 4 }).map((parts) => parts.join("")),
  }));
}
