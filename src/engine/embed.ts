import { MullError } from "../spec/errors.ts";
import { type PromptLayout, layOutPrompt } from "./prompt-layout.ts";
import type { LocalModel } from "./local-model.ts";
import type { EmbedRequest, EmbedResult, EncodedImageFacts, PromptImage } from "./protocol.ts";

/** How much of a text is kept at each try when it is too long. */
const SHRINK = 0.95;

/**
 * Vectors of inputs: pooled over the tokens by an embedding model; of a generative one the last layer's state after
 * the last token of E5-V's prompt, which asks for the input in one word (Jiang et al. 2024, arXiv 2407.12580).
 * Every vector has length 1.
 *
 * @throws MullError `context_overflow` if an input must not be shortened; `unsupported_modality`; `invalid_argument`
 */
export async function embed(
  model: LocalModel,
  request: EmbedRequest,
  signal: AbortSignal,
): Promise<EmbedResult> {
  const result: EmbedResult = { vectors: [], usage: { total: 0, text: 0, image: 0 }, facts: [] };
  const one = model.embedder === undefined ? embedByPrompt : embedByPooling;
  const answers = await Promise.all(request.inputs.map((input) => one(model, input, request, signal)));
  for (const { vector, tokens, facts } of answers) {
    result.vectors.push(unitVector(vector, request.dimensions));
    for (const kind of ["total", "text", "image"] as const) result.usage[kind] += tokens[kind];
    if (facts !== undefined) result.facts.push(facts);
  }
  return result;
}

type EmbedInput = EmbedRequest["inputs"][number];

interface Embedded {
  vector: Float32Array; // (stateLength) float32
  tokens: PromptLayout["tokens"];
  facts?: EncodedImageFacts;
}

async function embedByPooling(
  model: LocalModel,
  { text = "", image }: EmbedInput,
  { truncate }: EmbedRequest,
): Promise<Embedded> {
  if (image !== undefined) {
    throw new MullError("unsupported_modality", `${model.info.name} embeds text only.`, {
      hint: "Use a model that sees: mull makes vectors of pictures with any of them.",
    });
  }
  const tokens = model.text.tokenize(text, true);
  const { contextLength } = model.text;
  if (tokens.length > contextLength && !truncate) throw tooLong(tokens.length, contextLength);
  const kept = tokens.slice(0, contextLength);
  if (kept.length === 0)
    throw new MullError("invalid_argument", "There is nothing to embed: the text is empty.");
  const vector = await (model.embedder as NonNullable<LocalModel["embedder"]>).pool(kept);
  return { vector, tokens: { total: kept.length, text: kept.length, image: 0 } };
}

async function embedByPrompt(
  model: LocalModel,
  input: EmbedInput,
  request: EmbedRequest,
  signal: AbortSignal,
): Promise<Embedded> {
  const images: readonly PromptImage[] = input.image === undefined ? [] : [input.image];
  const layout = await layOutShortened(model, input.text ?? "", images, request.truncate);
  let facts: EncodedImageFacts | undefined;
  const answer = await model.scheduler.run({
    client: request.client,
    layout,
    images: images.map(({ image }) => image),
    goal: "state",
    signal,
    emit: (part) => {
      if (part.type === "image") facts = part.facts;
    },
  });
  const vector = answer.state;
  if (vector === undefined) throw new MullError("internal", "The engine gave no state to embed.");
  return { vector, tokens: layout.tokens, ...(facts === undefined ? {} : { facts }) };
}

/** The prompt, with as much of the text as fits. */
async function layOutShortened(
  model: LocalModel,
  text: string,
  images: readonly PromptImage[],
  truncate: boolean,
): Promise<PromptLayout> {
  let kept = text;
  while (true) {
    const about = images.length === 0 ? "sentence" : text === "" ? "image" : "image and sentence";
    const question = `${kept === "" ? "" : `${kept}\n`}Summary above ${about} in one word: `;
    try {
      return await layOutPrompt(model, {
        messages: [
          {
            role: "user",
            parts: [
              ...images.map((_, index) => ({ type: "image" as const, index })),
              { type: "text", text: question },
            ],
          },
        ],
        images,
        overflow: "error",
        prompt: {},
      });
    } catch (error) {
      if (!truncate || !MullError.is(error) || error.code !== "context_overflow" || kept === "") throw error;
      const { neededTokens, contextLength } = error.details as {
        neededTokens: number;
        contextLength: number;
      };
      const share = Math.min(SHRINK, contextLength / neededTokens);
      kept = kept.slice(0, Math.floor(kept.length * share * SHRINK));
    }
  }
}

function tooLong(tokens: number, contextLength: number): MullError {
  return new MullError(
    "context_overflow",
    `The input length exceeds the context length: ${tokens} tokens, but the context has ${contextLength}.`,
    { hint: "Shorten the text, or allow that it is truncated." },
  );
}

/** The first `dimensions` numbers, scaled to length 1. */
function unitVector(vector: Float32Array, dimensions: number | undefined): Float32Array {
  const kept = vector.subarray(0, dimensions ?? vector.length);
  const length = Math.hypot(...kept);
  return length === 0 ? kept.slice() : kept.map((value) => value / length);
}
