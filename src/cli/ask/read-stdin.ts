import { sniff } from "../../media/sniff.ts";
import { MullError } from "../../spec/errors.ts";
import type { InputStream } from "../cli-context.ts";

/** What was piped into the command. */
export type PipedInput =
  | { kind: "nothing" }
  | { kind: "text"; text: string }
  | { kind: "picture"; bytes: Uint8Array };

const MAXIMUM_BYTES = 256 * 1024 * 1024;
/** Formats, as sniffed, that are read as a part of the prompt. */
const TEXTS = new Set(["text", "xml", "html"]);
const NOTICE_MS = 2000;

/**
 * Reads stdin to its end and says what it holds, by its bytes.
 *
 * @param onWait called once if nothing has come for two seconds: whoever started mull may have left a pipe open
 * @throws MullError `media_too_large` over 256 MiB
 */
export async function readPipedInput(stdin: InputStream, onWait: () => void): Promise<PipedInput> {
  const notice = setTimeout(onWait, NOTICE_MS);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stdin as AsyncIterable<Uint8Array | string>) {
      clearTimeout(notice);
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      length += bytes.byteLength;
      if (length > MAXIMUM_BYTES) {
        throw new MullError("media_too_large", "stdin holds more than 256 MiB.", {
          hint: "Pipe in one picture, or text.",
        });
      }
      chunks.push(bytes);
    }
  } finally {
    clearTimeout(notice);
  }
  return recognise(Buffer.concat(chunks));
}

function recognise(bytes: Uint8Array): PipedInput {
  if (bytes.byteLength === 0) return { kind: "nothing" };
  const { kind, format } = sniff(bytes);
  const text = kind === "other" && TEXTS.has(format) ? decodeText(bytes) : undefined;
  // What is neither is passed on as a picture: opening it is refused with the name of what it is.
  if (text === undefined) return { kind: "picture", bytes };
  return text.trim() === "" ? { kind: "nothing" } : { kind: "text", text };
}

function decodeText(bytes: Uint8Array): string | undefined {
  // Valid UTF-8 may hold NUL; text does not.
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
