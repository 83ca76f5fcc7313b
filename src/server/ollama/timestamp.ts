/** Now, in the form of RFC 3339 with nanoseconds, in UTC: "2026-11-24T16:12:43.123456789Z". */
export function timestampNow(): string {
  // Two clocks: the date is exact to a millisecond, the other one finer.
  const nanoseconds = Math.floor((performance.now() % 1) * 1e6);
  return `${new Date().toISOString().slice(0, -1)}${String(nanoseconds).padStart(6, "0")}Z`;
}

/** Durations on the wire are whole nanoseconds. */
export function toNanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6);
}
