import type { Tool, ToolChoice } from "../spec/tool.ts";
import type { StreamRequest } from "../spec/model.ts";
import { randomBytes } from "node:crypto";
import { MullError } from "../spec/errors.ts";
import type { Message } from "../spec/message.ts";
import type { TemplateMessage } from "./render-template.ts";

/** A message whose pictures are known by number only: what the engine process gets. */
export interface ChatMessage extends Omit<Message, "content"> {
  parts: readonly ({ type: "text"; text: string } | { type: "image"; index: number })[];
}

/** The prompt in reading order. Each text is tokenised on its own, as LLaVA's `tokenizer_image_token` does. */
export type PromptPiece =
  /** Text in which the model's special tokens are recognised. */
  { type: "text"; text: string } | { type: "image"; index: number };

export interface PromptVariables {
  tools?: readonly Tool[];
  toolChoice?: ToolChoice;
  think?: StreamRequest["think"];
  raw?: boolean;
}
export interface PromptOptions extends PromptVariables {
  template: string;
  /** Texts of the model's control tokens, such as `</s>`. A user who types one must not create it. */
  controlTokens: readonly string[];
  render: (request: {
    messages: readonly TemplateMessage[];
    addGenerationPrompt: boolean;
  }) => Promise<string>;
}

/**
 * Messages to prompt pieces. A picture becomes a marker with a random name before the template is rendered, and
 * the rendered text is cut at the markers. Whatever a user types (`<image>`, `[img-0]`, a marker of an earlier
 * request) is therefore only text. Control tokens in a user's text are cut apart, so they stay text as well.
 */
export async function buildPrompt(
  messages: readonly ChatMessage[],
  options: PromptOptions,
): Promise<PromptPiece[]> {
  const name = randomBytes(12).toString("hex");
  const marker = (index: number): string => `[mull-${name}-${index}]`;
  const cut = `[mull-${name}-cut]`;
  const protect = protector(options.controlTokens, cut);

  const rendered = await options.render({
    messages: messages.map(({ role, parts }) => ({ role, content: contentOf(parts, marker, protect) })),
    addGenerationPrompt: true,
  });

  const pieces: PromptPiece[] = [];
  // Splitting with one capture group: even entries are text, odd ones the number of a picture, or "cut".
  for (const [place, part] of rendered.split(new RegExp(`\\[mull-${name}-(\\d+|cut)\\]`)).entries()) {
    if (place % 2 === 0) {
      if (part !== "") pieces.push({ type: "text", text: part });
    } else if (part !== "cut") {
      pieces.push({ type: "image", index: Number(part) });
    }
  }
  requireEveryPicture(messages, pieces);
  return pieces;
}

/** A template that skips a message, or prints it twice, must not change which pictures the model sees. */
function requireEveryPicture(messages: readonly ChatMessage[], pieces: readonly PromptPiece[]): void {
  const given = messages.flatMap(({ parts }) =>
    parts.flatMap((part) => (part.type === "image" ? [part.index] : [])),
  );
  const kept = pieces.flatMap((piece) => (piece.type === "image" ? [piece.index] : []));
  if (given.length === kept.length && given.every((index, place) => index === kept[place])) return;
  throw new MullError(
    "template_failed",
    `The chat template kept ${kept.length} of ${given.length} pictures, or changed their order.`,
    {
      hint: "Put pictures into user messages, or choose another template with --template, such as vicuna_v1.",
    },
  );
}

/** LLaVA puts a newline between a picture and the text after it. */
function contentOf(
  parts: ChatMessage["parts"],
  marker: (index: number) => string,
  protect: (text: string) => string,
): string {
  return parts
    .map((part, place) => {
      if (part.type === "text") return protect(part.text);
      return marker(part.index) + (place < parts.length - 1 ? "\n" : "");
    })
    .join("");
}

/** A function that puts `cut` behind the first character of every control token in a text. */
function protector(controlTokens: readonly string[], cut: string): (text: string) => string {
  const texts = controlTokens.filter((text) => text.length > 1).sort((a, b) => b.length - a.length);
  if (texts.length === 0) return (text) => text;
  const pattern = new RegExp(texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "g");
  return (text) =>
    text.replace(pattern, (token) => {
      const [first = ""] = token;
      return first + cut + token.slice(first.length);
    });
}
