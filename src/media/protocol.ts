import type { SerializedError } from "../spec/errors.ts";
import type { DecodedImage } from "./decode-image.ts";
import type { MediaLimits } from "./limits.ts";
import type { MediaItem } from "./media-item.ts";

/** Host to media process. One request is in flight at a time; `id` tells a late reply from the awaited one. */
export interface MediaRequest {
  type: "decode";
  id: number;
  item: MediaItem;
  limits: MediaLimits;
}

/** Media process to host. */
export type MediaReply =
  | ({ type: "decoded"; id: number } & DecodedImage)
  | { type: "failed"; id: number; error: SerializedError };

/** Exit code of a media process that found itself over its memory limit. */
export const MEMORY_EXIT_CODE = 86;
