import { existsSync } from "node:fs";
import { findAttachments } from "../../media/find-attachments.ts";
import { MullError } from "../../spec/errors.ts";
import type { InputStream, OutputStream } from "../cli-context.ts";
import { isPicturePath } from "./model-reference.ts";
import { type Attachment, openAttachment, type Question } from "./question.ts";
import { readPipedInput } from "./read-stdin.ts";

/**
 * Puts a question together from all places where a part of it can be: `-f` files, the words of the command line,
 * and what is piped in. Text from stdin stands before the words; pictures keep the order files, stdin, words.
 *
 * @throws MullError `media_not_found` when something that is written like a path leads nowhere
 */
export async function collectQuestion(
  words: readonly string[],
  files: readonly string[],
  stdin: InputStream,
  stderr: OutputStream,
): Promise<Question> {
  // Files come first: whoever mistyped a path should not wait for stdin.
  const attached = await openFiles(files.filter((file) => file !== "-"));
  const written = await Promise.all(words.map(readWord));
  const piped = await readStdin(stdin, stderr);
  if (files.includes("-") && piped.attachments.length === 0) {
    throw new MullError("invalid_argument", "'-f -' needs a picture on stdin.", {
      hint: "For example: cat x.png | mull run -f -",
    });
  }
  const texts = [piped.text, ...written.map(({ text }) => text)];
  return {
    text: texts.filter((text) => text !== "").join(" "),
    attachments: [...attached, ...piped.attachments, ...written.flatMap(({ attachments }) => attachments)],
  };
}

export function openFiles(files: readonly string[]): Promise<Attachment[]> {
  return Promise.all(files.map((file) => openAttachment(file, file)));
}

/**
 * The pictures that are named in a line of text, and the text without them.
 *
 * @throws MullError of the first name that looks like a path, or an address of a picture, and cannot be opened:
 *   a model that is asked about a picture it does not have makes one up
 */
export async function readLine(line: string): Promise<Question> {
  const { prompt, attachments, missing, urls } = findAttachments(line, existsSync);
  for (const { written, path } of missing) await refuse(path, written);
  for (const url of urls) await refuse(url, url);
  const opened = await Promise.all(attachments.map(({ written, path }) => openAttachment(path, written)));
  return { text: prompt, attachments: opened };
}

/** Opening what is not there gives the error that says what is there instead. */
async function refuse(source: string, written: string): Promise<void> {
  try {
    await openAttachment(source, written);
  } catch (error) {
    const { code, message, hint, details } = MullError.wrap(error);
    const byName = `Nothing was sent. To write about the name only, put it in backticks: \`${written}\``;
    throw new MullError(code, message, {
      hint: hint === undefined ? byName : `${hint}\n${byName}`,
      details,
      cause: error,
    });
  }
}

/** A word that the shell has already unquoted: all of it may be one path, blanks included. */
async function readWord(word: string): Promise<Question> {
  if (isPicturePath(word) && existsSync(word)) return { text: "", attachments: await openFiles([word]) };
  return readLine(word);
}

async function readStdin(stdin: InputStream, stderr: OutputStream): Promise<Question> {
  if (stdin.isTTY === true) return { text: "", attachments: [] };
  const piped = await readPipedInput(stdin, () => {
    stderr.write("Waiting for stdin… (to leave it out, run with </dev/null)\n");
  });
  switch (piped.kind) {
    case "nothing":
      return { text: "", attachments: [] };
    case "text":
      return { text: piped.text.trim(), attachments: [] };
    default:
      return { text: "", attachments: [await openAttachment(piped.bytes, "stdin")] };
  }
}
