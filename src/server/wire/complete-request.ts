import { withDefaultMessages } from "../../chat/with-defaults.ts";
import type { StreamRequest } from "../../spec/model.ts";
import type { GenerationOptions } from "../../spec/options.ts";
import type { CatalogEntry } from "../model-pool.ts";
import { mergeTurns } from "./merge-turns.ts";

/**
 * A request with everything that it leaves open: what the saved model carries along, then the dialect's defaults.
 *
 * @param maxTokens most tokens that the server gives to one answer
 */
export function completeRequest(
  request: StreamRequest,
  entry: CatalogEntry,
  defaults: GenerationOptions,
  maxTokens: number | undefined,
): StreamRequest {
  const complete: StreamRequest = { ...defaults, ...entry.generation, ...request };
  if (request.raw !== true) complete.messages = mergeTurns(withDefaultMessages(request.messages, entry));
  return limitTokens(complete, maxTokens);
}

/** A request for no more tokens than the server gives to one answer. @param most undefined: as many as fit */
export function limitTokens(request: StreamRequest, most: number | undefined): StreamRequest {
  if (most === undefined) return request;
  const wanted = request.maxTokens ?? -1;
  return { ...request, maxTokens: wanted === -1 ? most : Math.min(wanted, most) };
}
