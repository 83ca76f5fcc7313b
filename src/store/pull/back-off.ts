import type { MullError } from "../../spec/errors.ts";

/** Of a server that wants to be left alone for longer, the user should know now. */
const MOST_WAIT_MS = 15 * 60_000;
const LONGEST_DELAY_MS = 60_000;
/** A server that answers something else than it was asked for is asked again once. */
const MOST_LIES = 2;
/** Nothing that time could change. */
const HOPELESS = new Set(["certificate", "tls", "redirect"]);

/** How often and when a server is asked again that did not give what it should. */
export class BackOff {
  readonly #tries: number;
  readonly #random: () => number;
  #failures = 0;
  #lies = 0;

  constructor(tries: number, random: () => number = Math.random) {
    this.#tries = tries;
    this.#random = random;
  }

  /** Something came: counting begins anew. */
  progress(): void {
    this.#failures = 0;
    this.#lies = 0;
  }

  /**
   * Milliseconds to wait: 1 s, 2 s, 4 s …, more or less by a half, or what the server asked for.
   *
   * @throws MullError that one, if trying again would not help, or was tried often enough
   */
  delayAfter(error: MullError): number {
    if (!isWorthRepeating(error)) throw error;
    this.#failures += 1;
    if (error.code === "digest_mismatch" || error.details["reason"] === "protocol") this.#lies += 1;
    if (this.#failures >= this.#tries || this.#lies >= MOST_LIES) throw error;
    const asked = Number(error.details["retryAfterSeconds"] ?? 0) * 1000;
    if (asked > MOST_WAIT_MS) throw error;
    const delay = Math.min(1000 * 2 ** (this.#failures - 1), LONGEST_DELAY_MS) * (0.5 + this.#random());
    return Math.max(asked, delay);
  }
}

export function isWorthRepeating(error: MullError): boolean {
  return error.retryable && error.code !== "aborted" && !HOPELESS.has(String(error.details["reason"]));
}
