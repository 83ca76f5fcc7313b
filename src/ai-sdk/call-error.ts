import { MullError } from "../spec/errors.ts";

/**
 * What the AI SDK recognises its own errors by, across copies and versions of itself: `APICallError.isInstance(error)`
 * looks for these symbols, not for a class. So nothing of the SDK needs to be installed for mull to throw them.
 */
function marker(name?: string): symbol {
  return Symbol.for(`vercel.ai.error${name === undefined ? "" : `.${name}`}`);
}

/**
 * A failed call as the AI SDK understands it: still the `MullError`, and an `APICallError` too, so that the SDK tries
 * again what can succeed the second time, as late as the server says. Everything else comes back as it is.
 *
 * @param url where the model is; "mull:" stands for this process
 */
export function callError(error: unknown, url: string): unknown {
  if (!MullError.is(error) || error.code === "aborted") return error;
  const { retryAfterSeconds } = error.details;
  return Object.assign(error, {
    [marker()]: true,
    [marker("AI_APICallError")]: true,
    url,
    requestBodyValues: {},
    statusCode: error.httpStatus,
    // A model that was closed stays closed.
    isRetryable: error.retryable && error.code !== "closed",
    responseHeaders:
      typeof retryAfterSeconds === "number" ? { "retry-after": String(retryAfterSeconds) } : {},
  });
}

/** The SDK's `NoSuchModelError`, of a kind of model that mull does not have. */
export function noSuchModel(modelId: string, modelType: string): Error {
  const error = new Error(
    `mull has no ${modelType} "${modelId}": it takes pictures in, and answers in text.`,
  );
  return Object.assign(error, {
    name: "AI_NoSuchModelError",
    [marker()]: true,
    [marker("AI_NoSuchModelError")]: true,
    modelId,
    modelType,
  });
}
