import type { RenderRequest, TemplateMessage } from "../template-request.ts";
import { evaluate } from "./evaluate.ts";
import { goList, goMap, type GoList, type GoStruct, type GoValue } from "./go-value.ts";
import { ollamaToolCalls, ollamaTools, struct } from "./ollama-tools.ts";
import { parseGoTemplate } from "./parser.ts";
import { namesIn, type TemplateNode } from "./syntax.ts";

type GoRequest = Pick<RenderRequest, "template" | "messages" | "tools" | "variables">;

/** What Ollama says of thinking when nothing is said. */
const SILENT = { Think: false, ThinkLevel: "", IsThinkSet: false };

/** `{{ .Response }}` */
const RESPONSE: TemplateNode = {
  kind: "action",
  pipeline: { line: 1, variables: [], assigns: false, commands: [[{ kind: "field", path: ["Response"] }]] },
};

/**
 * A conversation in a Go template, as Ollama renders it: at once where the template reads `.Messages`, else turn by
 * turn with `.System`, `.Prompt` and `.Response`, where the last turn ends at `.Response`.
 *
 * @throws GoTemplateError
 */
export function renderGoTemplate({ template, messages, tools, variables = {} }: GoRequest): string {
  const nodes = withResponse(parseGoTemplate(template));
  const { system, collated } = collate(messages);
  const said = Object.entries({ ...SILENT, ...variables }) as [string, GoValue][];
  if (!reads(nodes, "messages")) return renderTurns(nodes, collated, said);
  return evaluate(
    nodes,
    goMap([
      ...said,
      ["System", system],
      ["Messages", messageList(collated)],
      ["Tools", ollamaTools(tools)],
      ["Response", ""],
      ["Suffix", ""],
    ]),
  );
}

/** A template that says neither where messages nor where answers stand has the answer at its end. */
function withResponse(nodes: readonly TemplateNode[]): readonly TemplateNode[] {
  if (reads(nodes, "messages") || reads(nodes, "response")) return nodes;
  return [...nodes, RESPONSE];
}

function reads(nodes: readonly TemplateNode[], name: string): boolean {
  return [...namesIn(nodes)].some((known) => known.toLowerCase() === name);
}

/** Messages of one role that follow each other become one, except results of tools; all system messages are `.System`. */
function collate(messages: readonly TemplateMessage[]): { system: string; collated: TemplateMessage[] } {
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  const collated: TemplateMessage[] = [];
  for (const message of messages) {
    const last = collated.at(-1);
    if (last?.role === message.role && message.role !== "tool") {
      const calls = [...(last.tool_calls ?? []), ...(message.tool_calls ?? [])];
      collated[collated.length - 1] = {
        ...last,
        content: `${last.content}\n\n${message.content}`,
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      };
    } else collated.push(message);
  }
  return { system: system.join("\n\n"), collated };
}

function messageList(messages: readonly TemplateMessage[]): GoList {
  const items = messages.map((message): GoStruct =>
    struct("template.templateMessage", {
      Role: message.role,
      Content: message.content,
      Thinking: message.reasoning_content ?? "",
      Images: goList([], "[]api.ImageData"),
      ToolCalls: ollamaToolCalls(message.tool_calls ?? []),
      ToolName: message.name ?? "",
      ToolCallID: message.tool_call_id ?? "",
    }),
  );
  return goList(items, "[]*template.templateMessage");
}

function renderTurns(
  nodes: readonly TemplateNode[],
  messages: readonly TemplateMessage[],
  said: readonly [string, GoValue][],
): string {
  const printed: string[] = [];
  let turn = { System: "", Prompt: "", Response: "" };
  const print = (of: readonly TemplateNode[]): void => {
    printed.push(evaluate(of, goMap([...said, ["Suffix", ""], ...Object.entries(turn)])));
    turn = { System: "", Prompt: "", Response: "" };
  };
  for (const { role, content } of messages) {
    if (role === "system") {
      if (turn.Prompt !== "" || turn.Response !== "") print(nodes);
      turn.System = content;
    } else if (role === "user") {
      if (turn.Response !== "") print(nodes);
      turn.Prompt = content;
    } else if (role === "assistant") turn.Response = content;
  }
  print(cutAtResponse(nodes).nodes);
  return printed.join("");
}

/** Without all that stands behind the first `.Response`. In an `else` it is looked for anew. */
function cutAtResponse(nodes: readonly TemplateNode[]): { nodes: readonly TemplateNode[]; cut: boolean } {
  for (const [place, node] of nodes.entries()) {
    const before = nodes.slice(0, place);
    if (node.kind === "action" && printsResponse(node)) return { nodes: [...before, node], cut: true };
    if ("body" in node) {
      const body = cutAtResponse(node.body);
      const otherwise = cutAtResponse(node.otherwise);
      if (!body.cut && !otherwise.cut) continue;
      return { nodes: [...before, { ...node, body: body.nodes, otherwise: otherwise.nodes }], cut: true };
    }
  }
  return { nodes, cut: false };
}

function printsResponse(node: Extract<TemplateNode, { kind: "action" }>): boolean {
  return [...namesIn([node])].includes("Response");
}
