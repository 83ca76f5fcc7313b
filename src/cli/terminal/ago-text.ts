import { plural } from "./format-quantity.ts";

const UNITS: readonly (readonly [unit: string, seconds: number])[] = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["week", 7 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** "3 days ago", in whole units; "just now" below a minute, and for times to come. */
export function agoText(time: Date, now: number): string {
  const seconds = (now - time.getTime()) / 1000;
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return `${plural(Math.floor(seconds / length), unit)} ago`;
  }
  return "just now";
}
