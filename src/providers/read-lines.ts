/** No part of an answer is longer than a picture's receipt; whatever is, is not what mull sends. */
const MAXIMUM_CHARACTERS = 16 * 1024 ** 2;

/**
 * Lines of a text that arrives in pieces, without their line feeds; a last line without one counts.
 * Reads no further than its reader has come.
 *
 * @param chunks pieces of UTF-8, cut anywhere
 * @throws RangeError when a line is longer than 16 Mi characters
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let open = "";
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true });
    const pieces = text.split("\n");
    for (const piece of pieces.slice(0, -1)) {
      yield open + piece;
      open = "";
    }
    open += pieces.at(-1);
    if (open.length > MAXIMUM_CHARACTERS) throw new RangeError("a line of more than 16 Mi characters");
  }
  open += decoder.decode();
  if (open !== "") yield open;
}
