const MOST_SECONDS = 24 * 60 * 60;

/**
 * When a server wants to be asked again, in seconds from now: `Retry-After` holds seconds or a date. Undefined for
 * none, or one that says nothing. At most a day.
 *
 * @param now milliseconds since 1970
 */
export function retryAfterSeconds(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - now) / 1000);
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), MOST_SECONDS);
}
