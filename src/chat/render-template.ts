import { Template } from "@huggingface/jinja";
import { parseGoTemplate } from "./go-template/parser.ts";
import { renderGoTemplate } from "./go-template/render-go-template.ts";
import { templateLanguage } from "./template-language.ts";
import { toolFormat } from "./tool-format.ts";
import type { RenderRequest, TemplateMessage, TemplateTool, TemplateToolCall } from "./template-request.ts";
import { toolInstruction, withSingleCalls, withToolsAsText } from "./tool-text.ts";

/** How a template wants what it is given. Found by rendering a probe: nobody writes it down. */
interface Style {
  content: "string" | "parts";
  arguments: "object" | "string";
}

type Render = (messages: readonly TemplateMessage[], style: Style, tools?: readonly TemplateTool[]) => string;

/** Texts that no template prints of itself. */
const PROBE = "mull-content-probe";
const OTHER_PROBE = "mull-other-probe";
const PROBE_TOOL: TemplateTool = {
  type: "function",
  function: {
    name: "mull_probe_tool",
    description: "Probe.",
    parameters: { type: "object", properties: {} },
  },
};

/**
 * Renders a chat template. Runs in a worker, because a template comes with the model file and may loop for ever.
 *
 * Templates differ in what they read: contents as strings or as typed parts, arguments as an object or as JSON, one
 * call in a message or many, tools at all. Each is tried with a probe, and what a template does not print is said in
 * words instead. No template ever sees a picture: its place is marked inside the text, so that nothing a template
 * does can move or double it.
 */
export function renderTemplate(request: RenderRequest): string {
  const isGo = templateLanguage(request.template) === "go";
  const render = isGo ? goRenderer(request) : renderer(request);
  const format = toolFormat(request.template);
  const plain: Style = { content: isGo ? "string" : contentStyle(request, render), arguments: "object" };
  const { messages, style } = inCallStyle(request, plain, render);
  const { tools = [] } = request;
  if (tools.length === 0) return renderWithoutTools(messages, style, render);
  const probe = PROBE_TOOL.function.name;
  const readsTools = format.native && prints(() => render(messages, style, [PROBE_TOOL]), probe);
  const explained = (): string =>
    renderWithoutTools(
      withInstruction(messages, toolInstruction(tools, format), style, render),
      style,
      render,
    );
  // Some templates print one tool and stumble over the schema of another.
  return readsTools ? firstOf(() => render(messages, style, tools), explained) : explained();
}

/** Go templates read contents as texts and arguments as objects, whatever the style. */
function goRenderer({ template, variables = {} }: RenderRequest): Render {
  parseGoTemplate(template);
  return (messages, _style, tools) =>
    renderGoTemplate({ template, variables, messages, ...(tools === undefined ? {} : { tools }) });
}

/** A model has one template: the last is kept, since reading and probing it takes longer than rendering. */
let last: { source: string; template: Template; content?: Style["content"] } | undefined;

function open(source: string): NonNullable<typeof last> {
  if (last?.source !== source) last = { source, template: new Template(source) };
  return last;
}

function contentStyle(request: RenderRequest, render: Render): Style["content"] {
  const opened = open(request.template);
  opened.content ??= prints(() => render([user(PROBE)], { content: "string", arguments: "object" }), PROBE)
    ? "string"
    : "parts";
  return opened.content;
}

function renderer(request: RenderRequest): Render {
  const { template } = open(request.template);
  const namesThinking = /\.thinking\b/.test(request.template);
  return (messages, style, tools) =>
    template.render({
      ...request.variables,
      messages: messages.map((message) => ({
        ...message,
        ...(namesThinking ? thinkingOf(message) : {}),
        content: style.content === "string" ? message.content : [{ type: "text", text: message.content }],
        ...(message.tool_calls === undefined
          ? {}
          : { tool_calls: message.tool_calls.map((call) => callIn(style, call)) }),
      })),
      ...(tools === undefined ? {} : { tools }),
      add_generation_prompt: request.addGenerationPrompt,
      bos_token: request.bosToken,
      eos_token: request.eosToken,
    });
}

/** A template that was written for tools only fails without; an empty list of them is the next best. */
function renderWithoutTools(messages: readonly TemplateMessage[], style: Style, render: Render): string {
  return firstOf(
    () => render(messages, style),
    () => render(messages, style, []),
  );
}

/** The first that works; if none does, the reason of the first. */
function firstOf(render: () => string, otherwise: () => string): string {
  try {
    return render();
  } catch (error) {
    try {
      return otherwise();
    } catch {
      throw error;
    }
  }
}

/** Earlier calls and results in the way in which the template prints all of them: as text if it knows none. */
function inCallStyle(
  { template, messages, tools }: RenderRequest,
  plain: Style,
  render: Render,
): { messages: readonly TemplateMessage[]; style: Style } {
  if (!messages.some((message) => message.role === "tool" || message.tool_calls !== undefined)) {
    return { messages, style: plain };
  }
  const format = toolFormat(template);
  const ways = (["object", "string"] as const).flatMap((kind) =>
    [2, 1].map((calls) => ({ calls, style: { ...plain, arguments: kind } })),
  );
  const way = format.native
    ? ways.find(({ calls, style }) => printsCalls(calls, (probe) => render(probe, style, tools)))
    : undefined;
  if (way === undefined) return { messages: withToolsAsText(messages, format), style: plain };
  return { messages: way.calls === 1 ? withSingleCalls(messages) : messages, style: way.style };
}

function printsCalls(count: number, render: (messages: readonly TemplateMessage[]) => string): boolean {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const conversation: TemplateMessage[] = [
    user("question"),
    {
      role: "assistant",
      content: "",
      tool_calls: numbers.map((number) => ({
        id: `mullcall${number}`,
        type: "function",
        function: { name: `mull_probe_${number}`, arguments: { mull_key: `${OTHER_PROBE}-${number}` } },
      })),
    },
    ...numbers.map((number) => ({
      role: "tool",
      name: `mull_probe_${number}`,
      tool_call_id: `mullcall${number}`,
      content: `${PROBE}-${number}`,
    })),
  ];
  try {
    const text = render(conversation);
    const wanted = numbers.flatMap((number) => [
      `mull_probe_${number}`,
      `${OTHER_PROBE}-${number}`,
      `${PROBE}-${number}`,
    ]);
    // JSON within JSON shows by its escaped quotes.
    return wanted.every((part) => text.includes(part)) && /mull_key/.test(text) && !/\\+"mull_key/.test(text);
  } catch {
    return false;
  }
}

/** The explanation of tools where the template prints it: in the system message, or before the first question. */
function withInstruction(
  messages: readonly TemplateMessage[],
  instruction: string,
  style: Style,
  render: Render,
): readonly TemplateMessage[] {
  const system: TemplateMessage = { role: "system", content: PROBE };
  const role = prints(() => render([system, user(OTHER_PROBE)], style), PROBE) ? "system" : "user";
  const place = messages.findIndex((message) => message.role === role);
  const found = messages[place];
  if (found === undefined) return [{ role, content: instruction }, ...messages];
  const content =
    role === "system" ? `${found.content}\n\n${instruction}` : `${instruction}\n\n${found.content}`;
  return messages.with(place, { ...found, content });
}

function user(content: string): TemplateMessage {
  return { role: "user", content };
}

function prints(render: () => string, text: string): boolean {
  try {
    return render().includes(text);
  } catch {
    return false;
  }
}

/** gpt-oss calls it so, and takes it in place of content, not beside it. */
function thinkingOf({ reasoning_content: reasoning, content, tool_calls: calls }: TemplateMessage): object {
  return reasoning === undefined || (content !== "" && calls !== undefined) ? {} : { thinking: reasoning };
}

function callIn(style: Style, call: TemplateToolCall): TemplateToolCall {
  if (style.arguments === "object") return call;
  return { ...call, function: { ...call.function, arguments: JSON.stringify(call.function.arguments) } };
}
