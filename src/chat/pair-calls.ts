import type { ChatMessage } from "./chat-message.ts";

/**
 * Gives every result the id and the name of the call that it answers: APIs send one of them, or none, and templates
 * want both. A result that names neither answers the first call that is still open.
 */
export function pairCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  let open: { id: string; name: string }[] = [];
  const known = new Map<string, string>();
  return messages.map((message) => {
    if (message.role === "assistant") {
      open = [...(message.toolCalls ?? [])];
      for (const { id, name } of open) known.set(id, name);
    }
    if (message.role !== "tool") return message;
    const { toolCallId, toolName } = message;
    const place = open.findIndex(({ id, name }) =>
      toolCallId === undefined ? toolName === undefined || name === toolName : id === toolCallId,
    );
    const [call] = place < 0 ? [] : open.splice(place, 1);
    const id = toolCallId ?? call?.id;
    const name = toolName ?? call?.name ?? (id === undefined ? undefined : known.get(id));
    return {
      ...message,
      ...(id === undefined ? {} : { toolCallId: id }),
      ...(name === undefined ? {} : { toolName: name }),
    };
  });
}
