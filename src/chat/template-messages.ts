import { createHash } from "node:crypto";
import { MullError } from "../spec/errors.ts";
import type { StreamRequest } from "../spec/model.ts";
import type { Tool, ToolCall, ToolChoice } from "../spec/tool.ts";
import type { ChatMessage } from "./chat-message.ts";
import { pairCalls } from "./pair-calls.ts";
import { templateFeatures } from "./template-features.ts";
import { templateLanguage } from "./template-language.ts";
import type { TemplateMessage, TemplateTool } from "./template-request.ts";

/** Of JSON in tools and calls. */
const DEEPEST = 200;

/** Changes every text of a caller before a template prints it. */
type Protect = (text: string) => string;

/** Messages in the shape in which templates read them. Results get the id and the name of the call they answer. */
export function templateMessages(
  messages: readonly ChatMessage[],
  contentOf: (parts: ChatMessage["parts"]) => string,
  protect: Protect,
): TemplateMessage[] {
  return pairCalls(messages).map(({ role, parts, toolCalls = [], reasoning, toolCallId, toolName }) => ({
    role,
    content: contentOf(parts),
    ...(role === "assistant" && toolCalls.length > 0
      ? { tool_calls: toolCalls.map((call) => templateCall(call, protect)) }
      : {}),
    ...(role === "assistant" && reasoning !== undefined ? { reasoning_content: protect(reasoning) } : {}),
    ...(role === "tool" && toolCallId !== undefined ? { tool_call_id: shortId(toolCallId) } : {}),
    ...(role === "tool" && toolName !== undefined ? { name: protect(toolName) } : {}),
  }));
}

/** The tools that the model is told of. */
export function templateTools(tools: readonly Tool[], choice: ToolChoice, protect: Protect): TemplateTool[] {
  if (choice === "none") return [];
  const told = typeof choice === "object" ? tools.filter(({ name }) => name === choice.name) : tools;
  return told.map(({ name, description = "", parameters }) => ({
    type: "function",
    function: {
      name: protect(name),
      description: protect(description),
      parameters: protectAll(
        typeof parameters === "object" ? parameters : { type: "object", properties: {} },
        protect,
      ),
    },
  }));
}

/** The names by which templates are told whether to think. Nothing is said where the caller says nothing. */
export function thinkVariables(think: StreamRequest["think"], template: string): Record<string, unknown> {
  if (templateLanguage(template) === "go") return goThinkVariables(think, template);
  if (think === undefined) return {};
  const thinks = think !== false;
  const least = /["']none["']/.test(template) ? "none" : "low";
  const effort = think === true ? undefined : think === false ? least : think === "max" ? "high" : think;
  return {
    enable_thinking: thinks,
    thinking: thinks,
    ...(effort === undefined ? {} : { reasoning_effort: effort }),
  };
}

/** As Ollama, whose models think unless they are told not to. */
function goThinkVariables(think: StreamRequest["think"], template: string): Record<string, unknown> {
  const said = think ?? (templateFeatures(template).thinking ? true : undefined);
  return {
    Think: said !== undefined && said !== false,
    ThinkLevel: said === true ? "medium" : said === undefined || said === false ? "" : said,
    IsThinkSet: said !== undefined,
  };
}

function templateCall(
  { id, name, arguments: given }: ToolCall,
  protect: Protect,
): NonNullable<TemplateMessage["tool_calls"]>[number] {
  return {
    id: shortId(id),
    type: "function",
    function: { name: protect(name), arguments: protectAll(given, protect) },
  };
}

/** All keys and texts of a JSON value. @throws MullError `invalid_argument` when it is nested too deep to print */
function protectAll(value: unknown, protect: Protect, depth = 0): unknown {
  if (depth > DEEPEST) {
    throw new MullError("invalid_argument", `A tool or a call is nested deeper than ${DEEPEST} levels.`, {
      hint: "Send flatter JSON.",
    });
  }
  if (typeof value === "string") return protect(value);
  if (Array.isArray(value)) return value.map((item) => protectAll(item, protect, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [protect(key), protectAll(item, protect, depth + 1)]),
  );
}

/** Mistral's templates insist on nine letters or digits; none reads anything out of an id. */
function shortId(id: string): string {
  if (/^[a-zA-Z0-9]{9}$/.test(id)) return id;
  return createHash("sha256").update(id).digest("hex").slice(0, 9);
}
