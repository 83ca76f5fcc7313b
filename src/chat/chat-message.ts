import type { Message } from "../spec/message.ts";

/** A message whose pictures are known by number only: what the engine process gets. */
export interface ChatMessage extends Omit<Message, "content"> {
  parts: readonly ({ type: "text"; text: string } | { type: "image"; index: number })[];
}
