import { randomBytes } from "node:crypto";
import { MullError } from "../spec/errors.ts";
import type { StreamRequest } from "../spec/model.ts";
import type { ChatMessage } from "./chat-message.ts";
import type { RenderRequest } from "./template-request.ts";
import { templateMessages, templateTools, thinkVariables } from "./template-messages.ts";
import { openedThought } from "./think-tags.ts";

/** The prompt in reading order. Each text is tokenised on its own, as LLaVA's `tokenizer_image_token` does. */
export type PromptPiece =
  /** Text in which the model's special tokens are recognised. */
  { type: "text"; text: string } | { type: "image"; index: number };

/** What a caller may ask for beside the messages. */
export interface PromptVariables extends Pick<StreamRequest, "tools" | "toolChoice" | "think" | "raw"> {}

/** How a family of models writes a message with pictures. */
export interface PictureStyle {
  /** What stands between a picture and what follows it in a message. Default: a newline, as LLaVA has it. */
  separator?: string;
  /** Whether the space that a template prints before a message is left out where that begins with a picture. */
  tight?: boolean;
}

export interface PromptOptions extends PromptVariables {
  template: string;
  pictureStyle?: PictureStyle | undefined;
  /** Texts of the model's control tokens, such as `</s>`. A user who types one must not create it. */
  controlTokens: readonly string[];
  render: (request: Omit<RenderRequest, "template" | "bosToken" | "eosToken">) => Promise<string>;
}

/**
 * Messages to prompt pieces. A picture becomes a marker with a random name before the template is rendered, and
 * the rendered text is cut at the markers. Whatever a user types (`<image>`, `[img-0]`, a marker of an earlier
 * request) is therefore only text. Control tokens in a caller's text, tools and results are cut apart, so they stay
 * text as well. With `raw`, the contents are the prompt as they stand.
 */
export async function buildPrompt(
  messages: readonly ChatMessage[],
  options: PromptOptions,
): Promise<PromptPiece[]> {
  if (options.raw === true) return rawPieces(messages);
  const { template, tools = [], toolChoice = "auto", think, pictureStyle = {} } = options;
  const name = randomBytes(12).toString("hex");
  const marker = (index: number): string => `[mull-${name}-${index}]`;
  const protect = protector(options.controlTokens, `[mull-${name}-cut]`);
  const start = pictureStyle.tight === true ? `[mull-${name}-start]` : "";
  const contentOf = (parts: ChatMessage["parts"]): string =>
    (parts[0]?.type === "image" ? start : "") + joinParts(parts, marker, pictureStyle.separator);

  const told = templateTools(tools, toolChoice, protect);
  let rendered = await options.render({
    messages: templateMessages(messages, (parts) => protect(contentOf(parts)), protect),
    ...(told.length === 0 ? {} : { tools: told }),
    variables: thinkVariables(think, template),
    addGenerationPrompt: true,
  });
  // Some templates open a thought whatever they are told; an empty one is how their models skip it.
  const thought = think === false ? openedThought(template, rendered) : undefined;
  if (thought !== undefined) rendered = `${rendered.trimEnd()}\n\n${thought.close}\n\n`;

  if (start !== "") rendered = rendered.replaceAll(` ${start}`, "").replaceAll(start, "");

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

function joinParts(parts: ChatMessage["parts"], marker: (index: number) => string, separator = "\n"): string {
  return parts
    .map((part, place) => {
      if (part.type === "text") return part.text;
      return marker(part.index) + (place < parts.length - 1 ? separator : "");
    })
    .join("");
}

function rawPieces(messages: readonly ChatMessage[]): PromptPiece[] {
  const pieces: PromptPiece[] = [];
  for (const part of messages.flatMap(({ parts }) => parts)) {
    const last = pieces.at(-1);
    if (part.type === "text" && part.text === "") continue;
    if (part.type === "text" && last?.type === "text") last.text += part.text;
    else pieces.push({ ...part });
  }
  return pieces;
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
