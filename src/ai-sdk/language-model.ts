import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { StreamPart } from "../spec/stream.ts";
import { callError } from "./call-error.ts";
import type { SharedModels } from "./shared-models.ts";
import { toRequest } from "./to-request.ts";
import { collectParts, toStreamParts } from "./to-stream-parts.ts";

/** A model of mull as a language model of the AI SDK. */
export function languageModel(modelId: string, models: SharedModels): LanguageModelV3 {
  return {
    specificationVersion: "v3",
    provider: "mull",
    modelId,
    // The SDK downloads what is a URL: mull fetches nothing.
    supportedUrls: {},
    doGenerate: (options) => generate(modelId, models, options),
    doStream: (options) => stream(modelId, models, options),
  };
}

async function generate(
  modelId: string,
  models: SharedModels,
  options: LanguageModelV3CallOptions,
): Promise<LanguageModelV3GenerateResult> {
  try {
    const { parts, warnings, name } = await begin(modelId, models, options);
    const answer = await collectParts(toStreamParts(parts, false));
    return { ...answer, warnings, response: { modelId: name, timestamp: new Date() } };
  } catch (error) {
    options.abortSignal?.throwIfAborted();
    throw callError(error, models.url);
  }
}

async function stream(
  modelId: string,
  models: SharedModels,
  options: LanguageModelV3CallOptions,
): Promise<LanguageModelV3StreamResult> {
  const { abortSignal, includeRawChunks = false } = options;
  try {
    const { parts, warnings, name } = await begin(modelId, models, options);
    const source = parts[Symbol.asyncIterator]();
    // Whatever is refused is refused with the first part: as a rejection, the SDK can try again.
    const first = await source.next();
    const answer = withHead(toStreamParts(resume(first, source), includeRawChunks), warnings, name);
    const leave = async (): Promise<void> => {
      await answer.return();
      // What was never begun to be read does not leave its source by itself.
      await source.return?.();
    };
    return { stream: toReadable(answer, leave, models.url, abortSignal) };
  } catch (error) {
    abortSignal?.throwIfAborted();
    throw callError(error, models.url);
  }
}

async function begin(
  modelId: string,
  models: SharedModels,
  options: LanguageModelV3CallOptions,
): Promise<{ parts: AsyncIterable<StreamPart>; warnings: SharedV3Warning[]; name: string }> {
  const { request, warnings } = toRequest(options);
  const model = await models.get(modelId, options.abortSignal);
  return { parts: model.stream(request), warnings, name: model.info.name };
}

async function* withHead(
  parts: AsyncIterable<LanguageModelV3StreamPart>,
  warnings: SharedV3Warning[],
  name: string,
): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
  yield { type: "stream-start", warnings };
  yield { type: "response-metadata", modelId: name, timestamp: new Date() };
  yield* parts;
}

/** An iteration that has begun, from its first result on. */
async function* resume<T>(
  first: IteratorResult<T, unknown>,
  source: AsyncIterator<T, unknown>,
): AsyncGenerator<T, void, undefined> {
  try {
    for (let { done, value } = first; done !== true; { done, value } = await source.next()) yield value as T;
  } finally {
    await source.return?.();
  }
}

/** Parts as the SDK reads them: an error is a part, a cancelled request breaks the stream with its reason. */
function toReadable(
  parts: AsyncIterator<LanguageModelV3StreamPart, void>,
  leave: () => Promise<void>,
  url: string,
  signal: AbortSignal | undefined,
): ReadableStream<LanguageModelV3StreamPart> {
  return new ReadableStream<LanguageModelV3StreamPart>(
    {
      async pull(controller) {
        try {
          const { done, value } = await parts.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          if (signal?.aborted === true) return controller.error(signal.reason);
          controller.enqueue({ type: "error", error: callError(error, url) });
          controller.close();
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}
