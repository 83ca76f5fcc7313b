import { hashFields, pictureKey } from "../cache/cache-key.ts";
import { type PromptOptions, type PromptPiece, buildPrompt } from "../chat/build-prompt.ts";
import { rowsForBudget, shrinkAdvice, shrinkToFit } from "../encoders/image-budget.ts";
import type { ImageEncoder } from "../encoders/image-encoder.ts";
import { isMergeable, type PicturePart, rowsOf, rowsParts } from "../encoders/picture-layout.ts";
import type { RowGrid } from "../encoders/row-grid.ts";
import { MullError } from "../spec/errors.ts";
import type { ModelInfo } from "../spec/model.ts";
import type { Usage } from "../spec/stream.ts";
import type { PromptImage, PromptRequest } from "./protocol.ts";
import { cellsOf, type SequenceUnit } from "./sequence.ts";
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
  const fittings = fitPictures(model, request, text);
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
    const index = stretch.picture;
    const fitted = fittings[index];
    if (fitted === undefined) throw new MullError("internal", `The prompt names picture ${index}.`);
    for (const unit of unitsOf(fitted, request.images[index] as PromptImage, model.text)) {
      units.push(unit);
      pictures.push(typeof unit === "number" ? undefined : index);
    }
  }
  if (units.length === 0) {
    throw new MullError("invalid_argument", "The prompt is empty.", { hint: "Write a question." });
  }
  const image = fittings.reduce((sum, { rows }) => sum + rows, 0);
  const last = pieces.at(-1);
  const end = last?.type === "text" ? last.text.slice(-END_LENGTH) : "";
  return { units, pictures, tokens: { total: cellsOf(units), text: cellsOf(units) - image, image }, end };
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

/** How each picture of a request stands in the prompt: by its budget, or smaller where the caller allows that they are shrunk to fit. */
function fitPictures(
  model: PromptModel,
  { images, overflow, answerTokens }: PromptRequest,
  promptTokens: number,
): readonly FittedPicture[] {
  const { encoder, text } = model;
  if (encoder === undefined || images.length === 0) {
    requireFit(text.contextLength, promptTokens, []);
    return [];
  }
  const asked = images.map((picture) => pictureBudget(encoder, picture));
  const fittings = asked.map((picture, index) =>
    fitPicture(encoder, images[index] as PromptImage, picture.asked),
  );
  const textTokens = promptTokens + fittings.reduce((sum, fitted) => sum + textTokensOf(fitted, text), 0);
  // At least one position must be left for the answer.
  const room = text.contextLength - textTokens - 1;
  const total = asked.reduce((sum, picture) => sum + picture.asked, 0);
  if (total <= room) return fittings;
  const mayShrink = (index: number): boolean => overflow === "shrink" || images[index]?.detail === "auto";
  const fixed = asked.reduce((sum, picture, index) => sum + (mayShrink(index) ? 0 : picture.asked), 0);
  const shrunk = shrinkToFit(
    asked.filter((_, index) => mayShrink(index)),
    room + 1 - answerRoom(answerTokens, text.contextLength) - fixed,
  );
  if (shrunk === undefined || shrunk.length === 0) {
    requireFit(text.contextLength, textTokens, asked, shrinkAdvice(asked, room));
  }
  const smaller = fittings.map((fitted, index) =>
    mayShrink(index) ? fitPicture(encoder, images[index] as PromptImage, shrunk?.shift() ?? 0) : fitted,
  );
  // Not every family can make a picture as small as it was to be.
  requireFit(
    text.contextLength,
    textTokens,
    smaller.map(({ rows }) => ({ asked: rows })),
  );
  return smaller;
}

/** A picture as tokens and rows. */
function unitsOf(
  { parts, rows, limit }: FittedPicture,
  { image }: PromptImage,
  text: TextModel,
): SequenceUnit[] {
  const pixels = pictureKey(image);
  const picture = limit === undefined ? pixels : hashFields("picture of at most", { pixels, limit });
  const several = rowsParts(parts).length > 1;
  let part = 0;
  return parts.flatMap((piece): SequenceUnit[] => {
    if ("text" in piece) return text.tokenize(piece.text, false);
    const key = several ? hashFields("part of a picture", { picture, part }) : picture;
    const count = several ? piece.rows : rows;
    const positions = piece.places?.positions ?? count;
    const unit = { key, picture, part, rows: count, positions, ...(limit === undefined ? {} : { limit }) };
    part += 1;
    return [unit];
  });
}

function textTokensOf({ parts }: FittedPicture, text: TextModel): number {
  return parts.reduce(
    (sum, part) => ("text" in part ? sum + text.tokenize(part.text, false).length : sum),
    0,
  );
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
): { name: string; native: number; asked: number; grid?: RowGrid } {
  const parts = encoder.layout(image.width, image.height);
  const native = rowsOf(parts);
  const grid = isMergeable(parts) ? rowsParts(parts)[0]?.grid : undefined;
  const wanted = rowsForBudget(grid ?? native, {
    name,
    ...(detail === undefined ? {} : { detail }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
  const { rows: asked } = fitPicture(encoder, { image }, wanted);
  return { name, native, asked, ...(grid === undefined ? {} : { grid }) };
}

/** How a picture stands in the prompt when it may take so many rows. */
export interface FittedPicture {
  parts: readonly PicturePart[];
  /** Rows that it takes: more than it may where the family cannot make fewer. */
  rows: number;
  /** What the encoder is told; undefined when that changes nothing. */
  limit: number | undefined;
}

export function fitPicture(
  encoder: ImageEncoder,
  { image }: Pick<PromptImage, "image">,
  rows: number,
): FittedPicture {
  const { width, height } = image;
  const whole = encoder.layout(width, height);
  const native = rowsOf(whole);
  if (rows >= native) return { parts: whole, rows: native, limit: undefined };
  const smaller = encoder.layout(width, height, rows);
  const made = rowsOf(smaller);
  const limit = made === native ? undefined : rows;
  return { parts: smaller, rows: isMergeable(smaller) ? Math.min(made, rows) : made, limit };
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
