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
 * left, all of them end.
 *
 * The first answer to a prompt goes ahead: once it has begun, the others find the prompt read and its pictures encoded.
 *
 * @param requests `n` per prompt, see `choiceRequests`
 */
export async function* streamChoices(
  stream: Model["stream"],
  requests: readonly StreamRequest[],
  n: number,
  signal: AbortSignal,
): AsyncGenerator<ChoicePart, void, undefined> {
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  const iterators = new Map<number, AsyncIterator<StreamPart>>();
  const waiting = new Map<number, Promise<{ index: number; result: IteratorResult<StreamPart> }>>();
  const next = async (index: number): Promise<{ index: number; result: IteratorResult<StreamPart> }> => ({
    index,
    result: await iterators.get(index)!.next(),
  });
  const begin = (index: number): void => {
    iterators.set(index, stream({ ...requests[index]!, signal: either })[Symbol.asyncIterator]());
    waiting.set(index, next(index));
  };
  try {
    for (let index = 0; index < requests.length; index += n) begin(index);
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values());
      if (result.done === true) {
        waiting.delete(index);
        continue;
      }
      yield { index, part: result.value };
      waiting.set(index, next(index));
      if (isAnswer(result.value)) {
        const first = index - (index % n);
        for (let other = first; other < first + n; other++) if (!iterators.has(other)) begin(other);
      }
    }
  } finally {
    end.abort();
    // What the others still say, or how they fail, is of no interest any more.
    await Promise.allSettled(waiting.values());
    await Promise.allSettled([...iterators.values()].map(async (iterator) => iterator.return?.()));
  }
}

function isAnswer({ type }: StreamPart): boolean {
  return type === "text-delta" || type === "reasoning-delta" || type === "tool-call" || type === "finish";
}
