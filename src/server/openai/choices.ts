import type { Model, StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";

/** A part of one of several answers that are generated side by side. */
export interface ChoicePart {
  /** Which answer, from 0. */
  index: number;
  part: StreamPart;
}

/** The requests of `n` answers to the same prompt: alike but for the seed, if there is one. */
export function choiceRequests(request: StreamRequest, n: number): StreamRequest[] {
  return Array.from({ length: n }, (_, index) =>
    request.seed === undefined ? request : { ...request, seed: (request.seed + index) % 2 ** 32 },
  );
}

/**
 * Generates all answers side by side; parts come in the order in which they are made. When one fails, or the loop is
 * left, all of them end. (The engine reads what their prompts share only once.)
 */
export async function* streamChoices(
  stream: Model["stream"],
  requests: readonly StreamRequest[],
  signal: AbortSignal,
): AsyncGenerator<ChoicePart, void, undefined> {
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  const iterators = requests.map((request) => stream({ ...request, signal: either })[Symbol.asyncIterator]());
  const next = async (index: number): Promise<{ index: number; result: IteratorResult<StreamPart> }> => ({
    index,
    result: await iterators[index]!.next(),
  });
  const waiting = new Map(iterators.map((_, index) => [index, next(index)]));
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values());
      if (result.done === true) {
        waiting.delete(index);
      } else {
        yield { index, part: result.value };
        waiting.set(index, next(index));
      }
    }
  } finally {
    end.abort();
    // What the others still say, or how they fail, is of no interest any more.
    await Promise.allSettled(waiting.values());
    await Promise.allSettled(iterators.map(async (iterator) => iterator.return?.()));
  }
}
