/** "87.3 kB": bytes in decimal units, three figures. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB"]) {
    if (value < 1000) return `${threeFigures(value)} ${unit}`;
    value /= 1000;
  }
  return `${threeFigures(value)} GB`;
}

/** "812 ms", "3.42 s", "2 m 5 s", "1 h 12 m". */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${threeFigures(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${threeFigures(milliseconds / 1000)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
}

/** "7.24B", "3.1M": how model sizes are written. */
export function formatParameters(count: number): string {
  if (count >= 1e9) return `${threeFigures(count / 1e9)}B`;
  if (count >= 1e6) return `${threeFigures(count / 1e6)}M`;
  if (count >= 1e3) return `${threeFigures(count / 1e3)}K`;
  return String(count);
}

/** "1 token", "2 tokens". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function threeFigures(value: number): string {
  if (Number.isInteger(value) || value >= 100) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}
