import type { ImagePart } from "../spec/message.ts";
import type { MediaReceipt } from "../spec/receipt.ts";
import type { DecodedImages } from "./decoded-images.ts";
import type { EncodedImageFacts } from "./protocol.ts";

/** A picture's pixels, the decoder's half of its receipt, and how many rows it may take. */
export type DecodedPicture = Awaited<ReturnType<DecodedImages["get"]>> &
  Pick<ImagePart, "detail" | "maxTokens">;

/** What the decoder did, then what the encoder did. */
export function completeReceipt(
  { receipt }: DecodedPicture,
  facts: Omit<EncodedImageFacts, "cached"> & { cached?: boolean },
): MediaReceipt {
  return { ...receipt, ...facts, steps: [...receipt.steps, ...facts.steps] };
}
