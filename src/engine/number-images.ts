import type { ChatMessage } from "../chat/chat-message.ts";
import { MullError } from "../spec/errors.ts";
import type { ImagePart, Message } from "../spec/message.ts";

export type NumberedImage = Omit<ImagePart, "type">;

const ROLES: readonly unknown[] = ["system", "user", "assistant", "tool"] satisfies Message["role"][];

/**
 * Pictures leave the messages and are known by number.
 *
 * @throws MullError `unsupported_modality` for a part of another kind, `invalid_argument`
 */
export function numberImages(messages: readonly Message[]): {
  messages: ChatMessage[];
  sources: NumberedImage[];
} {
  const sources: NumberedImage[] = [];
  const chat = messages.map(({ content, ...message }, place): ChatMessage => {
    if (!ROLES.includes(message.role)) {
      throw new MullError(
        "invalid_argument",
        `Message ${place} has the role ${JSON.stringify(message.role)}.`,
        {
          hint: `Roles are ${ROLES.join(", ")}.`,
        },
      );
    }
    const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
    return {
      ...message,
      parts: parts.map((part) => {
        if (part.type === "text") return part;
        if (part.type !== "image") throw unknownPart((part as { type: unknown }).type);
        const { type, ...source } = part;
        return { type, index: sources.push(source) - 1 };
      }),
    };
  });
  return { messages: chat, sources };
}

/** From JavaScript anything can come; an attachment of a kind not known here must not be dropped. */
function unknownPart(type: unknown): MullError {
  return new MullError("unsupported_modality", `A message has a part of type "${String(type)}".`, {
    hint: "This model takes parts of type text and image.",
  });
}
