/**
 * What goes in. A conversation is a list of messages; a message is text, or a list of parts in reading order.
 */
import type { ToolCall } from "./tool.ts";

/**
 * Where the bytes of an attachment come from:
 * bytes themselves, a Blob, a path (`./x.png`, `~/x.png`), a `file:` URL, or a `data:` URL.
 */
export type MediaSource = Uint8Array | Blob | URL | string;

export interface TextPart {
  type: "text";
  text: string;
}

/** As OpenAI's: `low` is a quarter of the model's rows, `high` all of them, `auto` all of them or what there is room for. */
export type ImageDetail = "auto" | "low" | "high";

export interface ImagePart {
  type: "image";
  image: MediaSource;
  /** What receipts and errors call it. Default: the path, or "image 1", "image 2"… */
  name?: string;
  /** Default: all rows, and an error if they do not fit. */
  detail?: ImageDetail;
  /** Most rows of the context that it may take, at least 1. Experimental: fewer rows are made by merging. */
  maxTokens?: number;
}

export type Part = TextPart | ImagePart;

export interface Message {
  /** `tool` is the answer of a tool that the assistant called. */
  role: "system" | "user" | "assistant" | "tool";
  /** A string is the same as one text part. */
  content: string | readonly Part[];
  /** Role "assistant": the tools it called in this turn, after its text. */
  toolCalls?: readonly ToolCall[];
  /** Role "assistant": what it thought before it answered. Templates decide whether the model sees it again. */
  reasoning?: string;
  /** Role "tool": which call this answers, and the tool's name. */
  toolCallId?: string;
  toolName?: string;
}
