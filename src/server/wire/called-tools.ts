import type { ToolCall } from "../../spec/tool.ts";

/** Names of the tools that earlier messages called, by id of the call, so that answers can name their tool. */
export class CalledTools {
  readonly #names = new Map<string, string>();

  add(calls: readonly ToolCall[]): void {
    for (const { id, name } of calls) this.#names.set(id, name);
  }

  /** Fields of the message of role `tool` that answers this call. */
  answering(id: string): { toolCallId: string; toolName?: string } {
    const toolName = this.#names.get(id);
    return toolName === undefined ? { toolCallId: id } : { toolCallId: id, toolName };
  }
}
