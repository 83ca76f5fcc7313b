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
import { cellsOf, type ImageUnit, type SequenceUnit } from "./sequence.ts";
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
    pictureStyle: model.encoder?.pictureStyle,
    ...request.prompt,
  });
  const compose = (pictures: readonly FittedPicture[]): Composition =>
    composeUnits(model, pieces, request.images, pictures);
  const fittings = fitPictures(model, request, (some) => cellsOf(compose(some).units.filter(isToken)));
  const { units, pictures } = compose(fittings);
  if (units.length === 0) {
    throw new MullError("invalid_argument", "The prompt is empty.", { hint: "Write a question." });
  }
  const image = fittings.reduce((sum, { rows }) => sum + rows, 0);
  const last = pieces.at(-1);
  const end = last?.type === "text" ? last.text.slice(-END_LENGTH) : "";
  return { units, pictures, tokens: { total: cellsOf(units), text: cellsOf(units) - image, image }, end };
}

type Composition = Pick<PromptLayout, "units" | "pictures">;

/**
 * Pieces to units. Text around a picture is tokenised together with its neighbours, as the models' own processors do;
 * texts that were cut apart stay apart.
 */
function composeUnits(
  { text, encoder, info }: PromptModel,
  pieces: readonly PromptPiece[],
  images: readonly PromptImage[],
  fittings: readonly FittedPicture[],
): Composition {
  const units: SequenceUnit[] = [];
  const pictures: (number | undefined)[] = [];
  let open = "";
  const close = (): void => {
    // A prompt that begins with a picture still begins with the model's BOS.
    for (const token of text.tokenize(open, units.length === 0)) {
      units.push(token);
      pictures.push(undefined);
    }
    open = "";
  };
  for (const [place, piece] of pieces.entries()) {
    if (piece.type === "text") {
      if (pieces[place - 1]?.type === "text") close();
      open += piece.text;
      continue;
    }
    if (encoder === undefined) throw textOnlyError(info.name);
    const [fitted, image] = [fittings[piece.index], images[piece.index]];
    if (fitted === undefined || image === undefined) {
      throw new MullError("internal", `The prompt names picture ${piece.index}.`);
    }
    for (const part of partsOf(fitted, image)) {
      if (typeof part === "string") {
        open += part;
        continue;
      }
      if (open !== "" || units.length === 0) close();
      units.push(part);
      pictures.push(piece.index);
    }
  }
  if (open !== "") close();
  return { units, pictures };
}

function isToken(unit: SequenceUnit): boolean {
  return typeof unit === "number";
}

/** How each picture of a request stands in the prompt: by its budget, or smaller where the caller allows that they are shrunk to fit. */
function fitPictures(
  model: PromptModel,
  { images, overflow, answerTokens }: PromptRequest,
  countTokens: (pictures: readonly FittedPicture[]) => number,
): readonly FittedPicture[] {
  const { encoder, text } = model;
  if (encoder === undefined || images.length === 0) {
    requireFit(text.contextLength, countTokens([]), []);
    return [];
  }
  const asked = images.map((picture) => pictureBudget(encoder, picture));
  const fittings = asked.map((picture, index) =>
    fitPicture(encoder, images[index] as PromptImage, picture.asked),
  );
  const textTokens = countTokens(fittings);
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
    countTokens(smaller),
    smaller.map(({ rows }) => ({ asked: rows })),
  );
  return smaller;
}

/** A picture as texts and rows. */
function partsOf({ parts, rows, limit }: FittedPicture, { image }: PromptImage): (string | ImageUnit)[] {
  const pixels = pictureKey(image);
  const picture = limit === undefined ? pixels : hashFields("picture of at most", { pixels, limit });
  const several = rowsParts(parts).length > 1;
  let part = 0;
  return parts.map((piece): string | ImageUnit => {
    if ("text" in piece) return piece.text;
    const key = several ? hashFields("part of a picture", { picture, part }) : picture;
    const count = several ? piece.rows : rows;
    const positions = piece.places?.positions ?? count;
    const unit = { key, picture, part, rows: count, positions, ...(limit === undefined ? {} : { limit }) };
    part += 1;
    return unit;
  });
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
