import { z } from "@hono/zod-openapi";
import type { ImagePart, MediaSource, Message, Part } from "../../spec/message.ts";
import { mediaInput } from "../route-module.ts";
import { mergeTurns } from "../wire/merge-turns.ts";
import type { Nullish } from "./nullish.ts";
import { toToolCalls, wireToolCall, type WireToolCall } from "./wire-tools.ts";

export interface WireMessage extends Nullish<{
  content: string;
  thinking: string;
  images: (string | Uint8Array)[];
  tool_calls: WireToolCall[];
  tool_name: string;
  tool_call_id: string;
}> {
  role: Message["role"];
}

export const imagesField: z.ZodType<(string | Uint8Array)[]> = z.array(mediaInput).openapi({
  description:
    "Pictures, in front of the text; where the text says [img], the next one stands there instead. Base64, or " +
    "`sha256:…` of an upload.",
});

export const wireMessage: z.ZodType<WireMessage> = z
  .object({
    role: z
      .string()
      .transform((role) => role.toLowerCase())
      .pipe(z.enum(["system", "user", "assistant", "tool"])),
    content: z.string().nullish(),
    thinking: z.string().nullish().openapi({ description: "What the assistant thought in that turn." }),
    images: imagesField.nullish(),
    tool_calls: z.array(wireToolCall).nullish(),
    tool_name: z.string().nullish().openapi({ description: "Role tool: whose answer this is." }),
    tool_call_id: z.string().nullish().openapi({ description: "Role tool: which call this answers." }),
  })
  .openapi("OllamaMessage");

/** How many rows of the context pictures may take; extensions of Ollama's API. */
export type ImageBudget = Pick<ImagePart, "detail" | "maxTokens">;

/**
 * Opens one picture.
 *
 * @param where place in the body for errors, such as "messages[2].images[0]"
 */
export type ReadImage = (image: string | Uint8Array, where: string) => Promise<MediaSource>;

/** A conversation in our terms, one message for each turn. */
export async function toMessages(
  messages: readonly WireMessage[],
  budget: ImageBudget,
  readImage: ReadImage,
): Promise<Message[]> {
  const converted: Message[] = [];
  for (const [index, wire] of messages.entries()) {
    const { role, content, images, thinking, tool_calls, tool_call_id, tool_name } = wire;
    const isAnswer = role === "tool";
    converted.push({
      role,
      content: await toContent(content ?? "", images ?? [], budget, `messages[${index}]`, readImage),
      ...(thinking ? { reasoning: thinking } : {}),
      ...(role === "assistant" && tool_calls?.length ? { toolCalls: toToolCalls(tool_calls, index) } : {}),
      // Whose answer it is where neither is said, the engine finds out by their order.
      ...(isAnswer && tool_call_id ? { toolCallId: tool_call_id } : {}),
      ...(isAnswer && tool_name ? { toolName: tool_name } : {}),
    });
  }
  return mergeTurns(converted);
}

/**
 * Text with its pictures in reading order: each at the next "[img]", the others in front of everything.
 *
 * @param where place of the object that has `images`, "" for the body itself
 */
export async function toContent(
  text: string,
  images: readonly (string | Uint8Array)[],
  budget: ImageBudget,
  where: string,
  readImage: ReadImage,
): Promise<string | Part[]> {
  if (images.length === 0) return text;
  const pictures: ImagePart[] = [];
  for (const [index, image] of images.entries()) {
    const place = `${where}${where === "" ? "" : "."}images[${index}]`;
    pictures.push({ type: "image", image: await readImage(image, place), ...budget });
  }
  const pieces = text.split("[img]");
  const placed = Math.min(pieces.length - 1, pictures.length);
  // Ollama gives the first places to the first pictures. More places than pictures stay what they are: text.
  const rest = pieces.slice(placed).join("[img]");
  const inside = pictures
    .slice(0, placed)
    .flatMap((picture, index): Part[] => [{ type: "text", text: pieces[index] ?? "" }, picture]);
  const parts: Part[] = [...pictures.slice(placed), ...inside, { type: "text", text: rest }];
  return parts.filter((part) => part.type === "image" || part.text !== "");
}
