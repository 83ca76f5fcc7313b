import type { Message } from "../spec/message.ts";
import type { ModelDefaults, StreamRequest } from "../spec/model.ts";

/** A request with everything that it leaves open and that was set for the model. Undefined options count as absent. */
export function withDefaults(request: StreamRequest, defaults: ModelDefaults): StreamRequest {
  const said = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
  const messages = request.raw === true ? request.messages : withDefaultMessages(request.messages, defaults);
  return { ...defaults.generation, ...said, messages };
}

/** The request's own system message takes the place of the model's. */
export function withDefaultMessages(
  messages: readonly Message[],
  defaults: ModelDefaults,
): readonly Message[] {
  const own = messages.findIndex(({ role }) => role !== "system");
  const first = own === -1 ? messages.length : own;
  const system: readonly Message[] =
    first > 0 || defaults.system === undefined
      ? messages.slice(0, first)
      : [{ role: "system", content: defaults.system }];
  return [...system, ...(defaults.messages ?? []), ...messages.slice(first)];
}

/** What of a model's settings are defaults of its requests; empty if nothing is. */
export function givenDefaults({ system, generation, messages }: ModelDefaults): ModelDefaults {
  return {
    ...(system === undefined ? {} : { system }),
    ...(generation === undefined || Object.keys(generation).length === 0 ? {} : { generation }),
    ...(messages === undefined || messages.length === 0 ? {} : { messages }),
  };
}
