import type { PictureFormat } from "./sniff.ts";

/** An attachment whose bytes are here and known to be a picture; nothing is decoded yet. */
export interface MediaItem {
  kind: "image";
  /** What receipts and errors call it: the path as written, or "image 1". */
  name: string;
  /** As sniffed from the bytes. */
  format: PictureFormat;
  /** The encoded file. Nobody may change it: `sha256` is its name in every cache. */
  bytes: Uint8Array;
  /** SHA-256 of `bytes`, 64 hex digits. */
  sha256: string;
}
