import { pictureKey } from "../cache/cache-key.ts";
import { type PromptOptions, type PromptPiece, buildPrompt } from "../chat/build-prompt.ts";
import { rowsForBudget, shrinkAdvice, shrinkToFit } from "../encoders/image-budget.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import { MullError } from "../spec/errors.ts";
import type { ModelInfo } from "../spec/model.ts";
import type { Usage } from "../spec/stream.ts";
import type { PromptImage, PromptRequest } from "./protocol.ts";
import type { SequenceUnit } from "./sequence.ts";
import type { TextModel } from "./text-model.ts";
import { textOnlyError } from "./text-only-error.ts";

/** A prompt as the text model reads it. */
export interface PromptLayout {
  units: readonly SequenceUnit[];
  /** Parallel to `units`: index into the request's pictures, or undefined for a token. */
  pictures: readonly (number | undefined)[];
  tokens: Omit<Usage["inputTokens"], "cached">;
  /** The end of the rendered prompt: it may have opened a thought that the answer goes on with. */
  end: string;
}

/** What of a model decides about a prompt. */
export interface PromptModel {
  info: Pick<ModelInfo, "name" | "template">;
  text: TextModel;
  encoder: ImageEncoder | undefined;
  /** Texts of the model's control tokens. */
  controlTokens: readonly string[];
  render: PromptOptions["render"];
}

/** A piece of a prompt, tokenised. */
type Stretch = { tokens: readonly number[] } | { picture: number };

const END_LENGTH = 200;
/** Room that shrunk pictures leave for an answer of unknown length. */
const ANSWER_TOKENS = 256;

/**
 * Messages to units: render the template, tokenise the pieces, decide how many rows each picture takes, and make sure
 * that it all fits the context.
 *
 * @throws MullError `context_overflow`, `template_failed`, `unsupported_modality`, `invalid_argument`
 */
export async function layOutPrompt(model: PromptModel, request: PromptRequest): Promise<PromptLayout> {
  const pieces = await buildPrompt(request.messages, {
    controlTokens: model.controlTokens,
    render: model.render,
    template: model.info.template.source,
    ...request.prompt,
  });
  const stretches = tokenise(model, pieces);
  const text = stretches.reduce((sum, stretch) => sum + ("tokens" in stretch ? stretch.tokens.length : 0), 0);
  const rows = divideRows(model, request, text);
  const units: SequenceUnit[] = [];
  const pictures: (number | undefined)[] = [];
  for (const stretch of stretches) {
    if ("tokens" in stretch) {
      for (const token of stretch.tokens) {
        units.push(token);
        pictures.push(undefined);
      }
      continue;
    }
    const picture = request.images[stretch.picture];
    if (picture === undefined)
      throw new MullError("internal", `The prompt names picture ${stretch.picture}.`);
    units.push({ key: pictureKey(picture.image), rows: rows[stretch.picture] as number });
    pictures.push(stretch.picture);
  }
  if (units.length === 0) {
    throw new MullError("invalid_argument", "The prompt is empty.", { hint: "Write a question." });
  }
  const image = rows.reduce((sum, count) => sum + count, 0);
  const last = pieces.at(-1);
  const end = last?.type === "text" ? last.text.slice(-END_LENGTH) : "";
  return { units, pictures, tokens: { total: text + image, text, image }, end };
}

function tokenise(model: PromptModel, pieces: readonly PromptPiece[]): Stretch[] {
  const stretches: Stretch[] = [];
  // A prompt that begins with a picture still begins with the model's BOS.
  if (pieces[0]?.type === "image") stretches.push({ tokens: model.text.tokenize("", true) });
  for (const [place, piece] of pieces.entries()) {
    if (piece.type === "text") stretches.push({ tokens: model.text.tokenize(piece.text, place === 0) });
    else if (model.encoder === undefined) throw textOnlyError(model.info.name);
    else stretches.push({ picture: piece.index });
  }
  return stretches;
}

/** Rows of each picture of a request: its budget, or less where the caller allows that they are shrunk to fit. */
function divideRows(
  model: PromptModel,
  { images, overflow, answerTokens }: PromptRequest,
  textTokens: number,
): readonly number[] {
  const { encoder, text } = model;
  if (encoder === undefined || images.length === 0) {
    requireFit(text.contextLength, textTokens, []);
    return [];
  }
  const asked = images.map((picture) => pictureBudget(encoder, picture));
  // At least one position must be left for the answer.
  const room = text.contextLength - textTokens - 1;
  const total = asked.reduce((sum, picture) => sum + picture.asked, 0);
  if (total <= room) return asked.map((picture) => picture.asked);
  const mayShrink = (index: number): boolean => overflow === "shrink" || images[index]?.detail === "auto";
  const fixed = asked.reduce((sum, picture, index) => sum + (mayShrink(index) ? 0 : picture.asked), 0);
  const shrunk = shrinkToFit(
    asked.filter((_, index) => mayShrink(index)),
    room + 1 - answerRoom(answerTokens, text.contextLength) - fixed,
  );
  if (shrunk === undefined || shrunk.length === 0) {
    requireFit(text.contextLength, textTokens, asked, shrinkAdvice(asked, room));
  }
  return asked.map((picture, index) => (mayShrink(index) ? (shrunk?.shift() ?? 0) : picture.asked));
}

/** Positions that are kept free for the answer when pictures are shrunk: a picture that leaves room for no word helps nobody. */
function answerRoom(answerTokens: number | undefined, contextLength: number): number {
  const wanted = answerTokens === undefined || answerTokens < 0 ? ANSWER_TOKENS : answerTokens;
  return Math.max(1, Math.min(wanted, Math.floor(contextLength / 4)));
}

/** Rows that the encoder gives of a picture, and how many of them it may take. */
export function pictureBudget(
  encoder: ImageEncoder,
  { image, name, detail, maxTokens }: PromptImage,
): { name: string; native: number; asked: number; grid?: { rows: number; columns: number } } {
  const native = encoder.countTokens(image.width, image.height);
  const grid = encoder.grid(image.width, image.height);
  const budget = {
    name,
    ...(detail === undefined ? {} : { detail }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
  return {
    name,
    native,
    asked: rowsForBudget(grid ?? native, budget),
    ...(grid === undefined ? {} : { grid }),
  };
}

function requireFit(
  contextLength: number,
  textTokens: number,
  pictures: readonly { asked: number }[],
  advice?: string,
): void {
  const imageTokens = pictures.reduce((sum, { asked }) => sum + asked, 0);
  const needed = textTokens + imageTokens + 1;
  if (needed <= contextLength) return;
  const count = pictures.length;
  const share =
    count === 0 ? "" : `${imageTokens} for ${count === 1 ? "the picture" : `${count} pictures`}, `;
  const hints = [
    "Shorten the conversation, leave out a picture, or load the model with a longer context (--num-ctx).",
    ...(advice === undefined ? [] : [advice]),
  ];
  throw new MullError(
    "context_overflow",
    `The prompt needs ${needed} tokens (${share}${textTokens} for text, 1 for the answer), ` +
      `but the context has ${contextLength}: ${needed - contextLength} too many.`,
    {
      hint: hints.join("\n"),
      details: { neededTokens: needed, textTokens, imageTokens, contextLength },
    },
  );
}
