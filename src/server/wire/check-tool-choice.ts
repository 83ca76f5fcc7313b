import type { Tool, ToolChoice } from "../../spec/tool.ts";
import { invalidRequest } from "./invalid-request.ts";

/**
 * Checks a choice against the tools that there are.
 *
 * @throws MullError `invalid_argument` when it asks for a call without tools, or names one that is not there
 */
export function checkToolChoice(choice: ToolChoice, tools: readonly Tool[]): ToolChoice {
  const param = "tool_choice";
  if (typeof choice === "object") {
    if (tools.some(({ name }) => name === choice.name)) return choice;
    throw invalidRequest(
      param,
      `${param} names "${choice.name}", but no tool of this request has that name.`,
    );
  }
  if (choice === "required" && tools.length === 0) {
    throw invalidRequest(param, `${param} asks for a tool to be called, but the request has no tools.`);
  }
  return choice;
}
