import type { TemplateMessage, TemplateTool } from "./template-request.ts";
import type { ToolFormat } from "./tool-format.ts";

/** Tools, calls and results in words, for templates that have no place of their own for them. */

interface NamedCall {
  name: string;
  arguments: unknown;
}

/** How to call tools, and which there are. */
export function toolInstruction(tools: readonly TemplateTool[], format: ToolFormat): string {
  const example = callsText([{ name: "tool name", arguments: {} }], format).replace("{}", "{…}");
  return [
    "You can call tools. To call one, answer with its name and its arguments as JSON, in this form:",
    example,
    "The result follows in the next message, between <tool_response> and </tool_response>. " +
      "If no tool helps, answer as usual.",
    "",
    "The tools:",
    ...tools.map((tool) => JSON.stringify(tool.function)),
  ].join("\n");
}

/** Calls as a model with this format writes them. */
export function callsText(calls: readonly NamedCall[], format: ToolFormat): string {
  const { body, open, close, between, argumentsKey } = format;
  const json = (call: NamedCall): string =>
    JSON.stringify({ name: call.name, [argumentsKey]: call.arguments });
  if (body === "list") return `${open}[${calls.map(json).join(", ")}]${close}`;
  if (body === "name-first") {
    return calls
      .map((call) => `${open}${call.name}${between}${JSON.stringify(call.arguments)}${close}`)
      .join("");
  }
  return calls.map((call) => (open === "" ? json(call) : `${open}\n${json(call)}\n${close}`)).join("\n");
}

/** Calls become part of the assistant's text; results a user message, together with what the user says next. */
export function withToolsAsText(messages: readonly TemplateMessage[], format: ToolFormat): TemplateMessage[] {
  const result: TemplateMessage[] = [];
  let answered = false;
  for (const { tool_calls: calls, ...message } of messages) {
    const last = result.at(-1);
    if (message.role === "tool") {
      const content = `<tool_response>\n${message.content}\n</tool_response>`;
      if (answered && last !== undefined) last.content += `\n${content}`;
      else result.push({ role: "user", content });
      answered = true;
      continue;
    }
    if (message.role === "user" && answered && last !== undefined) last.content += `\n${message.content}`;
    else if (calls === undefined) result.push({ ...message });
    else {
      const text = callsText(
        calls.map((call) => call.function),
        format,
      );
      result.push({ ...message, content: message.content === "" ? text : `${message.content}\n${text}` });
    }
    answered = false;
  }
  return result;
}

/** One call in each message, and its result right after it, for templates that know no other order. */
export function withSingleCalls(messages: readonly TemplateMessage[]): TemplateMessage[] {
  const result: TemplateMessage[] = [];
  for (let place = 0; place < messages.length; place++) {
    const message = messages[place] as TemplateMessage;
    const calls = message.tool_calls ?? [];
    if (calls.length < 2) {
      result.push(message);
      continue;
    }
    const end = messages.findIndex((other, index) => index > place && other.role !== "tool");
    const answers = messages.slice(place + 1, end < 0 ? undefined : end);
    for (const [index, call] of calls.entries()) {
      const own = answers.filter((answer) => answer.tool_call_id === call.id);
      result.push(
        { ...(index === 0 ? message : { role: message.role, content: "" }), tool_calls: [call] },
        ...own,
      );
    }
    const ids = new Set(calls.map(({ id }) => id));
    result.push(...answers.filter(({ tool_call_id: id }) => id === undefined || !ids.has(id)));
    place += answers.length;
  }
  return result;
}
