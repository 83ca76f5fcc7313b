/**
 * What goes in. A conversation is a list of messages; a message is text, or a list of parts in reading order.
 */

/**
 * Where the bytes of an attachment come from:
 * bytes themselves, a Blob, a path (`./x.png`, `~/x.png`), a `file:` URL, or a `data:` URL.
 */
export type MediaSource = Uint8Array | Blob | URL | string;

export interface TextPart {
  type: "text";
  text: string;
}

export interface ImagePart {
  type: "image";
  image: MediaSource;
  /** What receipts and errors call it. Default: the path, or "image 1", "image 2"… */
  name?: string;
}

export type Part = TextPart | ImagePart;

export interface Message {
  role: "system" | "user" | "assistant";
  /** A string is the same as one text part. */
  content: string | readonly Part[];
}
