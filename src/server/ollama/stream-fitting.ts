import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import type { Model, StreamRequest } from "../../spec/model.ts";
import type { StreamPart } from "../../spec/stream.ts";

export interface Fitting {
  parts: AsyncIterable<StreamPart>;
  /** Messages that were left out so that the others fit. Known with the first part. */
  readonly leftOut: number;
}

/**
 * As `model.stream()`, but a conversation that does not fit the context is tried again without its oldest turns. System
 * messages and the last turn stay, and unless `truncate` is true every turn from the first picture on: an answer about
 * a picture that the model no longer sees would be a lie.
 *
 * @param truncate undefined is yes but for pictures; false: `context_overflow` is thrown, as it is when nothing helps
 */
export function streamFitting(model: Model, request: StreamRequest, truncate: boolean | undefined): Fitting {
  let leftOut = 0;
  async function* parts(): AsyncGenerator<StreamPart> {
    let begun = false;
    try {
      for await (const part of model.stream(request)) {
        begun ||= part.type !== "progress";
        yield part;
      }
      return;
    } catch (error) {
      if (begun || truncate === false || MullError.wrap(error).code !== "context_overflow") throw error;
      const messages =
        (await shorten(model, request, truncate === true, roomForAnswer(model, request))) ??
        (await shorten(model, request, truncate === true, 1));
      if (messages === undefined) throw error;
      leftOut = request.messages.length - messages.length;
      request = { ...request, messages };
    }
    yield* model.stream(request);
  }
  return {
    parts: parts(),
    get leftOut() {
      return leftOut;
    },
  };
}

/** What is better kept free of the context: the answer asked for, but not more than a quarter. */
function roomForAnswer({ info }: Model, { maxTokens = -1 }: StreamRequest): number {
  const quarter = Math.max(1, Math.floor(info.contextLength / 4));
  return maxTokens > 0 ? Math.min(maxTokens, quarter) : quarter;
}

/** The longest end of a conversation that fits, with all system messages; undefined when none does. */
async function shorten(
  model: Model,
  request: StreamRequest,
  mayLosePictures: boolean,
  room: number,
): Promise<readonly Message[] | undefined> {
  const { messages } = request;
  const starts = turnStarts(messages, mayLosePictures);
  const from = (start: number): readonly Message[] =>
    messages.filter((message, index) => index >= start || message.role === "system");
  const fits = async (start: number): Promise<boolean> => {
    try {
      const { total } = await model.countTokens({ ...request, messages: from(start) });
      return total + room <= model.info.contextLength;
    } catch (error) {
      if (MullError.wrap(error).code === "context_overflow") return false;
      throw error;
    }
  };
  // A later start is shorter: the first that fits lies between `low` and `high`.
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await fits(starts[middle] as number)) high = middle;
    else low = middle + 1;
  }
  const start = starts[low];
  return start === undefined ? undefined : from(start);
}

/** Places at which a shorter conversation may begin: with a question, as every template expects. */
function turnStarts(messages: readonly Message[], mayLosePictures: boolean): number[] {
  const starts: number[] = [];
  let begun = false;
  for (const [index, { role, content }] of messages.entries()) {
    if (role === "system") continue;
    if (begun && role === "user") starts.push(index);
    begun = true;
    const hasPicture = typeof content !== "string" && content.some((part) => part.type === "image");
    if (hasPicture && !mayLosePictures) break;
  }
  return starts;
}
