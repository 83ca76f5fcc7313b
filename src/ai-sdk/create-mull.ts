/** mull for the AI SDK (`ai`): language and embedding models of specification V3, in this process or by URL. */
import type { EmbeddingModelV3, ImageModelV3, LanguageModelV3, ProviderV3 } from "@ai-sdk/provider";
import { load } from "../engine/load.ts";
import { connect } from "../providers/remote-model.ts";
import { parseServerAddress } from "../providers/server-address.ts";
import { MullError } from "../spec/errors.ts";
import type { Model } from "../spec/model.ts";
import { noSuchModel } from "./call-error.ts";
import { embeddingModel } from "./embedding-model.ts";
import { languageModel } from "./language-model.ts";
import { SharedModels } from "./shared-models.ts";

export type { MullEmbeddingModelOptions } from "./embedding-model.ts";
export type { MullLanguageModelOptions } from "./to-request.ts";
export type { MullAnswerMetadata } from "./to-stream-parts.ts";

export interface MullProviderSettings {
  /** Address of a mull server. Default: none, models are loaded into engine processes of this program. */
  baseURL?: string;
  /** The server's key. Default: MULL_API_KEY. */
  apiKey?: string;
  /** How a model is loaded when there is no `baseURL`. Default: `load(modelId)` of mull. */
  load?: (modelId: string) => Promise<Model>;
}

export interface MullProvider extends ProviderV3, AsyncDisposable {
  (modelId: string): LanguageModelV3;
  languageModel(modelId: string): LanguageModelV3;
  embeddingModel(modelId: string): EmbeddingModelV3;
  /** @deprecated The SDK's older name of `embeddingModel`. */
  textEmbeddingModel(modelId: string): EmbeddingModelV3;
  /** @throws the SDK's `NoSuchModelError`: mull makes no pictures */
  imageModel(modelId: string): ImageModelV3;
  /** Closes the models that were loaded; a server's stay as they are. The provider cannot be used after it. */
  close(): Promise<void>;
}

/**
 * A provider for the AI SDK. Nothing is loaded before the first call.
 *
 * ```ts
 * await using mull = createMull();
 * const { text } = await generateText({ model: mull("pico"), messages });
 * ```
 *
 * @throws MullError `invalid_argument` for a `baseURL` that is no address, or together with `load`
 */
export function createMull(settings: MullProviderSettings = {}): MullProvider {
  const models = openModels(settings);
  const close = (): Promise<void> => models.close();
  const provide = (modelId: string): LanguageModelV3 => languageModel(modelId, models);
  return Object.assign(provide, {
    specificationVersion: "v3" as const,
    languageModel: provide,
    embeddingModel: (modelId: string) => embeddingModel(modelId, models),
    textEmbeddingModel: (modelId: string) => embeddingModel(modelId, models),
    imageModel(modelId: string): never {
      throw noSuchModel(modelId, "imageModel");
    },
    close,
    [Symbol.asyncDispose]: close,
  });
}

function openModels({ baseURL, apiKey, load: loadModel = load }: MullProviderSettings): SharedModels {
  if (baseURL === undefined) return new SharedModels("mull:", (modelId) => loadModel(modelId));
  if (loadModel !== load) {
    throw new MullError("invalid_argument", "createMull was given both a baseURL and a way to load.", {
      hint: "With a baseURL, the server loads its models.",
    });
  }
  const url = parseServerAddress(baseURL, "baseURL").href;
  return new SharedModels(url, (model) =>
    connect({ url, model, ...(apiKey === undefined ? {} : { apiKey }) }),
  );
}

/** A provider with all defaults. */
export const mull: MullProvider = createMull();
