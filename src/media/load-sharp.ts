import { createRequire } from "node:module";
import type sharpModule from "sharp";
import type { Sharp, SharpOptions } from "sharp";
import { MullError } from "../spec/errors.ts";

export type OpenPicture = (bytes: Uint8Array, options: SharpOptions) => Sharp;

/** libvips loaders of the formats that mull reads. All others are blocked: each is a parser of hostile bytes. */
const LOADERS = ["Jpeg", "Png", "Webp", "Nsgif", "Heif", "Tiff", "Svg"].map(
  (loader) => `VipsForeignLoad${loader}`,
);

/**
 * The only place that imports sharp (libvips, native code). Called in the media process alone.
 * One thread and no cache: memory that is bounded and given back matters more here than rate.
 *
 * @throws MullError engine_unavailable if its package for this platform is missing
 */
export function loadSharp(): OpenPicture {
  try {
    // `require`: sharp's CommonJS build loads in half the time of its ES modules, and a first answer waits for it.
    const sharp = createRequire(import.meta.url)("sharp") as typeof sharpModule;
    sharp.concurrency(1);
    sharp.cache(false);
    sharp.block({ operation: ["VipsForeignLoad"] });
    sharp.unblock({ operation: LOADERS });
    return (bytes, options) => sharp(bytes, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new MullError("engine_unavailable", `The picture decoder (sharp) could not be loaded: ${reason}`, {
      hint: "Install again without --no-optional (npm) or with this platform's @img/sharp package.",
      cause: error,
    });
  }
}
