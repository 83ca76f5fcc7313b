import { z } from "@hono/zod-openapi";
import { MullError } from "../../spec/errors.ts";

/** How long a model stays loaded, as Ollama's clients write it: seconds, or a duration of Go such as "1h30m". */
export type WireKeepAlive = string | number;

export const keepAliveField: z.ZodType<WireKeepAlive> = z.union([z.string(), z.number()]).openapi({
  description:
    'How long the model stays loaded after this request: seconds, or a duration such as "5m" or "1h30m". 0 unloads ' +
    "it at once, a negative one keeps it for ever. Default: as before, at first 5 minutes.",
  example: "5m",
});

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const DURATION = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+|0)$/;
const PIECE = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;

/**
 * Milliseconds; Infinity for a negative duration.
 *
 * @throws MullError `invalid_argument` for a text that is no duration
 */
export function parseKeepAlive(value: WireKeepAlive): number {
  if (typeof value === "number") return value < 0 ? Number.POSITIVE_INFINITY : value * 1000;
  const [, sign, pieces] = DURATION.exec(value) ?? [];
  if (pieces === undefined) {
    throw new MullError("invalid_argument", `time: invalid duration ${JSON.stringify(value.slice(0, 100))}`, {
      details: { param: "keep_alive" },
    });
  }
  let total = 0;
  for (const [, number, unit] of pieces.matchAll(PIECE)) total += Number(number) * (UNIT_MS[unit ?? ""] ?? 0);
  return sign === "-" && total > 0 ? Number.POSITIVE_INFINITY : total;
}
