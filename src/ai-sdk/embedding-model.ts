import type {
  EmbeddingModelV3,
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
  JSONObject,
} from "@ai-sdk/provider";
import { MullError } from "../spec/errors.ts";
import type { EmbedInput, EmbedOptions } from "../spec/model.ts";
import { callError } from "./call-error.ts";
import { readData } from "./file-image.ts";
import type { SharedModels } from "./shared-models.ts";
import { withoutUndefined } from "./to-request.ts";

/** What `providerOptions.mull` of an embedding model may hold. */
export interface MullEmbeddingModelOptions extends Pick<EmbedOptions, "truncate" | "dimensions" | "client"> {
  /**
   * Pictures as base64 or `data:` URLs, one or null per value: a picture and its value, which may be "", have one
   * vector together.
   */
  images?: readonly (string | null)[];
}

/** A model of mull as an embedding model of the AI SDK: texts and pictures in one space. */
export function embeddingModel(modelId: string, models: SharedModels): EmbeddingModelV3 {
  return {
    specificationVersion: "v3",
    provider: "mull",
    modelId,
    // All values in one call: `images` counts on it.
    maxEmbeddingsPerCall: Number.POSITIVE_INFINITY,
    supportsParallelCalls: true,
    doEmbed: (options) => embed(modelId, models, options),
  };
}

async function embed(
  modelId: string,
  models: SharedModels,
  { values, abortSignal, providerOptions }: EmbeddingModelV3CallOptions,
): Promise<EmbeddingModelV3Result> {
  try {
    const options = (providerOptions?.["mull"] ?? {}) as MullEmbeddingModelOptions;
    const { truncate, dimensions, client, images, ...unknown } = options;
    const inputs = images === undefined ? values : withImages(values, images);
    const model = await models.get(modelId, abortSignal);
    const { vectors, usage, receipts } = await model.embed(
      inputs,
      withoutUndefined({ truncate, dimensions, client, signal: abortSignal }),
    );
    return {
      embeddings: vectors.map((vector) => Array.from(vector)),
      usage: { tokens: usage.total },
      providerMetadata: { mull: { receipts, usage } as unknown as JSONObject },
      warnings: Object.keys(unknown).map((name) => ({
        type: "other",
        message: `There is no option "${name}" of mull.`,
      })),
    };
  } catch (error) {
    abortSignal?.throwIfAborted();
    throw callError(error, models.url);
  }
}

function withImages(values: readonly string[], images: readonly (string | null)[]): EmbedInput[] {
  if (!Array.isArray(images) || images.length !== values.length) {
    throw new MullError(
      "invalid_argument",
      `There are ${values.length} values and ${images.length} images.`,
      {
        hint: "Give one picture or null per value.",
      },
    );
  }
  return values.map((text, index): EmbedInput => {
    const image = images[index];
    if (image === null || image === undefined) return text;
    const name = `image ${index + 1}`;
    return { image: readData(image, name), name, ...(text === "" ? {} : { text }) };
  });
}
