import type { Logger } from "./logger.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** The least important messages that are written. */
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** What reads a log may be a terminal: control characters, and those that turn text around, must not reach it. */
// oxlint-disable-next-line no-control-regex -- these are what must go
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** @param write takes one line, with its end */
export function leveledLogger(
  level: LogLevel,
  print: (level: keyof Logger, message: string, fields: LogFields) => string,
  write: (line: string) => void,
): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const logAt =
    (at: keyof Logger) =>
    (message: string, fields: LogFields = {}): void => {
      if (LOG_LEVELS.indexOf(at) >= least) write(`${print(at, message, fields)}\n`);
    };
  return { debug: logAt("debug"), info: logAt("info"), warn: logAt("warn"), error: logAt("error") };
}

/** Text with everything that a terminal could take as a command as `\u001b`. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
