import type { Tool, ToolChoice } from "../spec/tool.ts";
export function checkTools(
  tools: unknown,
  choice: unknown,
): { tools: readonly Tool[]; toolChoice: ToolChoice } {
  return { tools: (tools ?? []) as Tool[], toolChoice: (choice ?? "auto") as ToolChoice };
}
