import { resolve } from "node:path";
import { resolveMedia } from "../../media/resolve-media.ts";
import type { ImagePart, Message } from "../../spec/message.ts";

/**
 * A picture that the user gave. Its bytes are here: a conversation keeps its pictures when the files change or go.
 */
export interface Attachment {
  /** As written: what messages and receipts call it. */
  name: string;
  bytes: Uint8Array;
  /** Where it was read from, absolute; undefined for stdin. */
  path?: string;
}

export interface Question {
  text: string;
  attachments: readonly Attachment[];
}

/** What is asked when there are pictures and no words. */
export const DEFAULT_QUESTION = "What's in this image?";

/**
 * Reads a picture.
 *
 * @param name what to call it: the path as the user wrote it
 * @throws MullError `media_not_found`, `unsupported_media`, `media_too_large`
 */
export async function openAttachment(source: string | Uint8Array, name: string): Promise<Attachment> {
  const { bytes } = await resolveMedia(source, { index: 0, name });
  return typeof source === "string" ? { name, bytes, path: resolve(source) } : { name, bytes };
}

/** Pictures first, then the text: the order that LLaVA models were trained on. */
export function userMessage({ text, attachments }: Question): Message {
  if (attachments.length === 0) return { role: "user", content: text };
  return { role: "user", content: [...attachments.map(imagePart), { type: "text", text }] };
}

function imagePart({ name, bytes }: Attachment): ImagePart {
  return { type: "image", image: bytes, name };
}
