import { escapeUnprintable, type LogLevel, leveledLogger } from "./leveled-logger.ts";
import type { Logger } from "./logger.ts";

/** One line per message: `2026-11-24T16:00:00.000Z info request method=POST status=200`. */
export function textLogger(level: LogLevel, write: (line: string) => void): Logger {
  return leveledLogger(
    level,
    (at, message, fields) => {
      const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${printValue(value)}`);
      return escapeUnprintable(`${new Date().toISOString()} ${at} ${message}${pairs.join("")}`);
    },
    write,
  );
}

/** A word as it is, everything else as JSON. */
function printValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value) ?? "undefined";
}
