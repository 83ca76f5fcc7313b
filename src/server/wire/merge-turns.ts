import type { Message, Part } from "../../spec/message.ts";

/** Between the texts of two messages that become one, as in Ollama. */
const BETWEEN = "\n\n";

/**
 * Consecutive messages of one role become one turn: LangChain sends a picture and the question about it as two messages,
 * and many templates refuse roles that do not alternate. Tools' answers and turns with calls or thoughts stay apart.
 */
export function mergeTurns(messages: readonly Message[]): Message[] {
  const turns: Message[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last?.role === message.role && isPlain(last) && isPlain(message)) {
      turns[turns.length - 1] = { role: last.role, content: join(last.content, message.content) };
    } else turns.push(message);
  }
  return turns;
}

function isPlain({ role, toolCalls, reasoning }: Message): boolean {
  return role !== "tool" && toolCalls === undefined && reasoning === undefined;
}

function join(first: Message["content"], second: Message["content"]): Message["content"] {
  if (typeof first === "string" && typeof second === "string") {
    return first === "" || second === "" ? first + second : `${first}${BETWEEN}${second}`;
  }
  const before = partsOf(first);
  const after = partsOf(second);
  // A picture needs no blank line: the prompt has one of its own.
  const texts = before.at(-1)?.type === "text" && after[0]?.type === "text";
  return [...before, ...(texts ? [{ type: "text" as const, text: BETWEEN }] : []), ...after];
}

function partsOf(content: Message["content"]): readonly Part[] {
  if (typeof content !== "string") return content;
  return content === "" ? [] : [{ type: "text", text: content }];
}
