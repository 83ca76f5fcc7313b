import type { Timings, Usage } from "../../spec/stream.ts";
import { formatDuration } from "./format-quantity.ts";

/**
 * The table that `--verbose` prints under an answer. Labels that `ollama run --verbose` has are kept, so that the
 * two can be compared line by line; pictures and the first token have their own.
 */
export function timingsText(usage: Usage, timings: Timings): string {
  const { inputTokens, outputTokens } = usage;
  const rows: [label: string, value: string][] = [
    ["total duration", formatDuration(timings.totalMs)],
    ["load duration", formatDuration(timings.loadMs)],
  ];
  if (inputTokens.image > 0) {
    rows.push(
      ["image decode duration", formatDuration(timings.decodeMs)],
      ["image encode duration", formatDuration(timings.encodeMs)],
      ["image eval count", `${inputTokens.image} token(s)`],
    );
  }
  rows.push(
    ["prompt eval count", `${inputTokens.total} token(s)`],
    ["prompt eval cached", `${inputTokens.cached} token(s)`],
    ["prompt eval duration", formatDuration(timings.prefillMs)],
    ["prompt eval rate", rate(inputTokens.total - inputTokens.cached, timings.prefillMs)],
    ["first token after", formatDuration(timings.firstTokenMs)],
    ["eval count", `${outputTokens} token(s)`],
    ["eval duration", formatDuration(timings.generateMs)],
    ["eval rate", rate(outputTokens, timings.generateMs)],
  );
  return rows.map(([label, value]) => `${`${label}:`.padEnd(23)}${value}\n`).join("");
}

function rate(tokens: number, milliseconds: number): string {
  if (milliseconds <= 0) return "-";
  return `${((tokens * 1000) / milliseconds).toFixed(2)} tokens/s`;
}
