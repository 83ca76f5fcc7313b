import { styleText } from "node:util";
import type { OutputStream } from "../cli-context.ts";

export type Style = "dim" | "grey" | "bold" | "red" | "yellow";
/** Styles a text, or hands it back as it is where colours are not wanted. */
export type Paint = (style: Style, text: string) => string;

/**
 * Whether to send colours to this stream. FORCE_COLOR wins over NO_COLOR, both over what the stream is
 * (https://no-color.org, https://force-color.org); an empty value counts as not set.
 */
export function wantsColour(stream: OutputStream, env: NodeJS.ProcessEnv): boolean {
  const forced = env["FORCE_COLOR"];
  if (forced !== undefined && forced !== "") return forced !== "0" && forced !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return canMoveCursor(stream, env);
}

/** Whether the stream is a terminal that understands escape sequences: progress and line editing need them. */
export function canMoveCursor(stream: OutputStream, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

export function createPaint(stream: OutputStream, env: NodeJS.ProcessEnv): Paint {
  const colours = wantsColour(stream, env);
  // The decision is made above, with the injected environment; styleText would read the global one.
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text);
}
