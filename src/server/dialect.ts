import type { MullError } from "../spec/errors.ts";
import { anthropicError } from "./anthropic/anthropic-error.ts";
import { openaiError } from "./openai/openai-error.ts";

/** Whose API a path belongs to: it decides the shape of errors. What is nobody's speaks like Ollama's. */
export type Dialect = "mull" | "ollama" | "openai" | "anthropic";

export function dialectOf(path: string): Dialect {
  if (/^\/api\/(?:stream|tokens|vectors|models|stats|inspect|media)(?:\/|$)/.test(path)) return "mull";
  if (/^\/v1\/messages(?:\/|$)/.test(path)) return "anthropic";
  return path.startsWith("/v1/") ? "openai" : "ollama";
}

export interface ErrorAnswer {
  status: number;
  body: object;
}

/** An error in the words of a dialect. Make it public first: see `publicError`. */
export function errorAnswer(error: MullError, dialect: Dialect): ErrorAnswer {
  if (dialect === "openai") return openaiError(error);
  if (dialect === "anthropic") return anthropicError(error);
  if (dialect === "mull") return { status: error.httpStatus, body: { error: error.toJSON() } };
  const text = [error.message, error.hint].filter((part) => part !== undefined).join(" ");
  return { status: error.httpStatus, body: { error: text } };
}

/** An error as the last piece of a stream that has begun: its status was sent long ago. */
export function errorEvent(error: MullError, dialect: Dialect): string {
  const data = JSON.stringify(errorAnswer(error, dialect).body);
  if (dialect === "ollama" || dialect === "mull") return `${data}\n`;
  return dialect === "anthropic" ? `event: error\ndata: ${data}\n\n` : `data: ${data}\n\n`;
}
