import type { MullError } from "../spec/errors.ts";
import type { Paint } from "./terminal/colour.ts";
import { safeText } from "./terminal/safe-text.ts";

/** An error for people: what happened, and below it what to do. */
export function errorText(error: MullError, paint: Paint): string {
  const hint = error.hint === undefined ? "" : `${safeText(error.hint)}\n`;
  return `${paint("red", "Error:")} ${safeText(error.message)}\n${hint}`;
}
