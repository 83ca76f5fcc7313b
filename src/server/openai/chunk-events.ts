import type { ServerSentEvent } from "../stream-response.ts";
import type { ChoicePart } from "./choices.ts";

/** What makes chunks of the parts of several answers. */
interface Chunks {
  push(index: number, part: ChoicePart["part"]): Iterable<unknown>;
  /** What is left to say when all answers have ended. */
  end(): Iterable<unknown>;
}

/** The events of OpenAI's older streams: a chunk each, and a word that is no JSON at the end. */
export async function* chunkEvents(
  parts: AsyncIterable<ChoicePart>,
  chunks: Chunks,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  for await (const { index, part } of parts) {
    for (const data of chunks.push(index, part)) yield { data };
  }
  for (const data of chunks.end()) yield { data };
  yield { data: "[DONE]" };
}
