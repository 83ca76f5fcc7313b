import { createHash } from "node:crypto";
import { buildPrompt, type PromptPiece } from "../chat/build-prompt.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { MullError } from "../spec/errors.ts";
import type { FinishReason, Usage } from "../spec/stream.ts";
import type { LocalModel } from "./local-model.ts";
import type { EngineTimings, EnginePart, GenerateRequest } from "./protocol.ts";
import { Sampler } from "./sampler.ts";
import type { ImageUnit, SequenceUnit } from "./sequence.ts";
import { TextAssembler } from "./text-assembler.ts";
import { textOnlyError } from "./text-only-error.ts";

/** The prompt as units, and for each picture unit the number of the picture. */
interface Layout {
  units: SequenceUnit[];
  /** Parallel to `units`: index into the request's pictures, or undefined for a token. */
  pictures: (number | undefined)[];
  textTokens: number;
  imageTokens: number;
}

/**
 * One request from messages to text: render, lay out, check the length, read what is not in the context yet
 * (encoding pictures on the way), then choose tokens until the model, a stop string or a limit ends the answer.
 *
 * @throws MullError `context_overflow`, `template_failed`, `unsupported_modality`; the signal's reason when aborted
 */
export async function* generate(
  model: LocalModel,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<EnginePart, void, undefined> {
  const pieces = await buildPrompt(request.messages, {
    controlTokens: model.controlTokens,
    render: model.render,
  });
  const layout = layOut(model, pieces, request.images);
  requireFit(model, layout);
  signal.throwIfAborted();

  const timings: EngineTimings = { encodeMs: 0, prefillMs: 0, generateMs: 0 };
  const cached = yield* readPrompt(model, layout, request.images, timings, signal);
  const usage: Usage = {
    inputTokens: {
      total: layout.textTokens + layout.imageTokens,
      text: layout.textTokens,
      image: layout.imageTokens,
      cached,
    },
    outputTokens: 0,
  };
  const started = performance.now();
  const reason = yield* answer(model, request, usage, signal);
  timings.generateMs = performance.now() - started;
  yield { type: "finish", reason, usage, timings };
}

function layOut(model: LocalModel, pieces: readonly PromptPiece[], images: readonly RgbImage[]): Layout {
  const layout: Layout = { units: [], pictures: [], textTokens: 0, imageTokens: 0 };
  const append = (tokens: readonly number[]): void => {
    for (const token of tokens) {
      layout.units.push(token);
      layout.pictures.push(undefined);
    }
    layout.textTokens += tokens.length;
  };
  // A prompt that begins with a picture still begins with the model's BOS.
  if (pieces[0]?.type === "image") append(model.text.tokenize("", true));
  for (const [place, piece] of pieces.entries()) {
    if (piece.type === "text") {
      append(model.text.tokenize(piece.text, place === 0));
      continue;
    }
    if (model.encoder === undefined) {
      throw textOnlyError(model.info.name);
    }
    const image = images[piece.index];
    if (image === undefined) throw new MullError("internal", `The prompt names picture ${piece.index}.`);
    const rows = model.encoder.countTokens(image.width, image.height);
    layout.units.push({ key: imageKey(image), rows });
    layout.pictures.push(piece.index);
    layout.imageTokens += rows;
  }
  if (layout.units.length === 0) {
    throw new MullError("invalid_argument", "The prompt is empty.", { hint: "Write a question." });
  }
  return layout;
}

/** SHA-256 of size and pixels: two pictures with the same bytes but other shapes are not the same. */
function imageKey({ width, height, data }: RgbImage): string {
  return createHash("sha256").update(`${width}x${height}:`).update(data).digest("hex");
}

/** At least one position must be left for the answer. */
function requireFit(model: LocalModel, { textTokens, imageTokens, pictures }: Layout): void {
  const needed = textTokens + imageTokens + 1;
  const { contextLength } = model.text;
  if (needed <= contextLength) return;
  const count = pictures.filter((picture) => picture !== undefined).length;
  const share =
    count === 0 ? "" : `${imageTokens} for ${count === 1 ? "the picture" : `${count} pictures`}, `;
  throw new MullError(
    "context_overflow",
    `The prompt needs ${needed} tokens (${share}${textTokens} for text, 1 for the answer), ` +
      `but the context has ${contextLength}.`,
    {
      hint: "Shorten the conversation, leave out a picture, or load the model with a longer context (--num-ctx).",
      details: { neededTokens: needed, textTokens, imageTokens, contextLength },
    },
  );
}

/** Brings the context to the end of the prompt. @returns how many positions were already there */
async function* readPrompt(
  model: LocalModel,
  layout: Layout,
  images: readonly RgbImage[],
  timings: EngineTimings,
  signal: AbortSignal,
): AsyncGenerator<EnginePart, number, undefined> {
  const { sequence, text } = model;
  let next = sequence.keepPrefix(layout.units);
  if (!text.forget(sequence.positions)) {
    sequence.clear();
    next = 0;
  }
  const cached = sequence.positions;
  for (const [place, index] of layout.pictures.entries()) {
    const unit = sequence.unit(place);
    if (index === undefined || place >= next || typeof unit !== "object" || unit.facts === undefined)
      continue;
    yield { type: "image", index, facts: { ...unit.facts, cached: true } };
  }

  const total = layout.textTokens + layout.imageTokens;
  yield { type: "progress", stage: "prefill", completed: cached, total };
  while (next < layout.units.length) {
    const index = layout.pictures[next];
    if (index === undefined) {
      const end = layout.pictures.findIndex((picture, place) => place > next && picture !== undefined);
      const tokens = layout.units.slice(next, end < 0 ? undefined : end) as number[];
      const started = performance.now();
      await keepInStep(model, () => text.appendTokens(tokens, sequence.positions, { signal }));
      timings.prefillMs += performance.now() - started;
      sequence.append(tokens);
      next += tokens.length;
    } else {
      const unit = layout.units[next] as ImageUnit;
      yield* encodeAndAppend(model, unit, index, images, timings, signal);
      next += 1;
    }
    yield { type: "progress", stage: "prefill", completed: sequence.positions, total };
  }
  return cached;
}

async function* encodeAndAppend(
  model: LocalModel,
  unit: ImageUnit,
  index: number,
  images: readonly RgbImage[],
  timings: EngineTimings,
  signal: AbortSignal,
): AsyncGenerator<EnginePart, void, undefined> {
  const { encoder, sequence, text } = model;
  const image = images[index];
  if (encoder === undefined || image === undefined)
    throw new MullError("internal", "A picture has no encoder.");
  yield { type: "progress", stage: "encode", completed: index, total: images.length };
  const encodeStarted = performance.now();
  const preprocessed = encoder.preprocess(image);
  signal.throwIfAborted();
  const rows = await encoder.encode(preprocessed, signal); // (tokens, embeddingLength) float32
  timings.encodeMs += performance.now() - encodeStarted;
  const { seen, steps } = preprocessed;
  unit.facts = { seen, steps, tokens: unit.rows, cached: false };
  yield { type: "image", index, facts: unit.facts };
  yield { type: "progress", stage: "encode", completed: index + 1, total: images.length };

  const prefillStarted = performance.now();
  await keepInStep(model, () => text.appendRows(rows, sequence.positions, { signal }));
  timings.prefillMs += performance.now() - prefillStarted;
  sequence.append([unit]);
}

async function* answer(
  model: LocalModel,
  { options }: GenerateRequest,
  usage: Usage,
  signal: AbortSignal,
): AsyncGenerator<EnginePart, FinishReason, undefined> {
  const { sequence, text } = model;
  const sampler = new Sampler(options);
  const assembler = new TextAssembler(options.stop ?? []);
  const room = text.contextLength - sequence.positions;
  const limit = Math.min(
    room,
    options.maxTokens === undefined || options.maxTokens < 0 ? room : options.maxTokens,
  );
  const history = sequence.tokens;
  let reason: FinishReason = "length";

  while (usage.outputTokens < limit) {
    const token = sampler.choose(text.logits(), history);
    usage.outputTokens += 1;
    if (text.endsGeneration(token)) {
      reason = "stop";
      break;
    }
    const delta = assembler.push(text.piece(token));
    if (delta !== "") yield { type: "text", delta };
    if (assembler.stopped) {
      reason = "stop";
      break;
    }
    if (usage.outputTokens >= limit) break;
    await keepInStep(model, () => text.appendTokens([token], sequence.positions, { signal }));
    sequence.append([token]);
    history.push(token);
  }
  const rest = assembler.end();
  if (rest !== "") yield { type: "text", delta: rest };
  return reason;
}

/** After a cancelled or failed call the native cache may hold more than the sequence says: cut it back. */
async function keepInStep(model: LocalModel, append: () => Promise<void>): Promise<void> {
  try {
    await append();
  } catch (error) {
    if (!model.text.forget(model.sequence.positions)) model.sequence.clear();
    throw error;
  }
}
