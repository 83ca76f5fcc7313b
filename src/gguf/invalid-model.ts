import { MullError } from "../spec/errors.ts";

const SHOWN_CHARACTERS = 80;

/**
 * A string from an untrusted file, fit for a message or a log: quoted, at most 80 characters, with control
 * characters, line breaks, bidirectional overrides and lone surrogates as `\u{…}`.
 */
export function quote(text: string): string {
  const shown = text.slice(0, SHOWN_CHARACTERS);
  const escaped = shown.replaceAll(
    /[\p{C}\p{Zl}\p{Zp}"\\]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return `"${escaped}${shown.length < text.length ? "…" : ""}"`;
}

/** The one way in which this folder says that a file is damaged, hostile or of the wrong kind. */
export function invalidModel(path: string, problem: string, hint?: string): MullError {
  return new MullError("invalid_model", `${path}: ${problem}`, {
    hint: hint ?? "Download or convert the model again; the file is damaged or was made by a faulty tool.",
    details: { path },
  });
}
