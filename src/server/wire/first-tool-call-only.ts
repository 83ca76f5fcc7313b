import type { StreamPart } from "../../spec/stream.ts";

/** Leaves out every call after the first, for clients that run one tool at a time. */
export async function* firstToolCallOnly(
  parts: AsyncIterable<StreamPart>,
): AsyncGenerator<StreamPart, void, undefined> {
  let called = false;
  for await (const part of parts) {
    if (part.type === "tool-call") {
      if (called) continue;
      called = true;
    }
    yield part;
  }
}
