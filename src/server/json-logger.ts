import { escapeUnprintable, type LogLevel, leveledLogger } from "./leveled-logger.ts";
import type { Logger } from "./logger.ts";

/** One JSON object per line: `{"time":"…","level":"info","message":"request","status":200}`. */
export function jsonLogger(level: LogLevel, write: (line: string) => void): Logger {
  return leveledLogger(
    level,
    (at, message, fields) =>
      // The message's own names come last: a field cannot take their place.
      escapeUnprintable(JSON.stringify({ ...fields, time: new Date().toISOString(), level: at, message })),
    write,
  );
}
