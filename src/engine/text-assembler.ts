/**
 * Turns the bytes of tokens into text that is safe to show: a character whose bytes are spread over tokens is held
 * back until it is whole, and so is text that may turn out to be the beginning of a stop string.
 */
export class TextAssembler {
  readonly #decoder = new TextDecoder("utf-8");
  readonly #stops: readonly string[];
  #held = "";
  #metStop: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True once a stop string was met; everything from it on is discarded. */
  get stopped(): boolean {
    return this.#metStop !== undefined;
  }

  /** The stop string that was met first. */
  get metStop(): string | undefined {
    return this.#metStop;
  }

  /** @returns text that is final now; often empty */
  push(bytes: Uint8Array): string {
    return this.#release(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** The rest, when no more tokens come. Bytes that never became a character print as U+FFFD. */
  end(): string {
    return this.#release(this.#decoder.decode(), true);
  }

  #release(text: string, last: boolean): string {
    if (this.stopped) return "";
    this.#held += text;
    const [met] = this.#stops
      .map((stop) => ({ stop, place: this.#held.indexOf(stop) }))
      .filter(({ place }) => place >= 0)
      .sort((a, b) => a.place - b.place);
    if (met !== undefined) {
      this.#metStop = met.stop;
      return this.#take(met.place);
    }
    return this.#take(last ? this.#held.length : this.#held.length - this.#possibleStopLength());
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #possibleStopLength(): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > longest; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}
