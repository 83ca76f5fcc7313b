import type { Message } from "../spec/message.ts";

/** The text of a message, without its pictures. */
export function textOf({ content }: Message): string {
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
