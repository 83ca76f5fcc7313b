import type { EmbedInput } from "../spec/model.ts";

/** Servers bound the pictures of one request, and the time that it may take. */
const MOST_INPUTS = 64;
const MOST_PICTURES = 8;

/** Cuts a list into pieces that one request can carry, in order. An empty list is one empty piece: it gets checked too. */
export function embeddingBatches(inputs: readonly EmbedInput[]): EmbedInput[][] {
  const batches: EmbedInput[][] = [[]];
  let pictures = 0;
  for (const input of inputs) {
    const picture = typeof input !== "string" && input.image !== undefined ? 1 : 0;
    if (batches.at(-1)!.length === MOST_INPUTS || pictures + picture > MOST_PICTURES) {
      batches.push([]);
      pictures = 0;
    }
    batches.at(-1)!.push(input);
    pictures += picture;
  }
  return batches;
}
