import { createRequire } from "node:module";
import type koffiModule from "koffi";
import { MullError } from "../spec/errors.ts";

/** The foreign-function interface. Only `src/native` sees it. */
export type Koffi = typeof koffiModule;

/**
 * Loads koffi on first use, because importing it starts native code: whoever never computes here never needs it.
 *
 * @throws MullError `engine_unavailable` when it is not installed or has no build for this platform
 */
export function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    throw new MullError(
      "engine_unavailable",
      `The native call interface (npm package koffi) does not load on ${process.platform}-${process.arch}.`,
      { hint: "Reinstall it: npm install koffi@3.3.4 --include=optional", cause },
    );
  }
}
