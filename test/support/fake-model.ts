import type { Embeddings, EmbedInput, EmbedOptions, Model, StreamRequest } from "../../src/spec/model.ts";
import type { StreamPart } from "../../src/spec/stream.ts";
import { INFO, RECEIPT, say, STATS, type Answer } from "./cli-harness.ts";

export interface FakeModel extends Model {
  /** Everything that it was asked. */
  requests: StreamRequest[];
  embedded: { inputs: readonly EmbedInput[]; options: EmbedOptions }[];
  closed: number;
  /** Streams that were left or came to their end. */
  ended: number;
}

/** A model made of plain objects. @param answer what it says; default: "A yellow smiley face." */
export function fakeModel(answer: Answer = () => say("A yellow ", "smiley face.")): FakeModel {
  const model: FakeModel = {
    info: INFO,
    enginePid: undefined,
    requests: [],
    embedded: [],
    closed: 0,
    ended: 0,
    async *stream(request): AsyncGenerator<StreamPart> {
      model.requests.push(request);
      try {
        yield* answer(request);
      } finally {
        model.ended += 1;
      }
    },
    ask: async () => "A yellow smiley face.",
    inspect: async (_, options) => ({ ...RECEIPT, name: options?.name ?? "image 1" }),
    embed: async (inputs, options = {}): Promise<Embeddings> => {
      model.embedded.push({ inputs, options });
      const pictures = inputs.filter(
        (input) => typeof input !== "string" && input.image !== undefined,
      ).length;
      return {
        vectors: inputs.map((_, index) => Float32Array.of(index, 0.5)),
        usage: { total: 3 * inputs.length, text: 3 * inputs.length - pictures, image: pictures },
        receipts: Array.from({ length: pictures }, () => RECEIPT),
      };
    },
    countTokens: async () => ({ total: 40, text: 4, image: 36 }),
    stats: async () => STATS,
    close: async () => void (model.closed += 1),
    [Symbol.asyncDispose]: () => model.close(),
  };
  return model;
}
