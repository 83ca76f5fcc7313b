/**
 * A waiting line that is fair between clients: the next is always from the client that was served least, and within a
 * client the one that came first (start-time fair queuing, Goyal et al. 1996, with tokens as the service).
 */
export class FairQueue<Item extends { client: string }> {
  #waiting: Item[] = [];
  /** Clients with something waiting or in progress: how many items, and what they got. */
  readonly #clients = new Map<string, { items: number; served: number }>();

  get length(): number {
    return this.#waiting.length;
  }

  push(item: Item): void {
    this.#waiting.push(item);
    const known = this.#clients.get(item.client);
    if (known !== undefined) {
      known.items += 1;
      return;
    }
    // Whoever was away does not come back with a claim on all that was done meanwhile.
    const least = Math.min(...[...this.#clients.values()].map(({ served }) => served));
    this.#clients.set(item.client, { items: 1, served: Number.isFinite(least) ? least : 0 });
  }

  /** The item whose turn it is. */
  next(): Item | undefined {
    return this.leastServed(this.#waiting);
  }

  /** Takes it out of the line; it stays in progress until `leave`. */
  shift(): Item | undefined {
    const next = this.next();
    if (next !== undefined) this.remove(next);
    return next;
  }

  /** The first item of the client that was served least. */
  leastServed(items: readonly Item[]): Item | undefined {
    return items.reduce<Item | undefined>(
      (best, item) => (best === undefined || this.#served(item) < this.#served(best) ? item : best),
      undefined,
    );
  }

  /** Takes an item out of the line. @returns whether it was still waiting */
  remove(item: Item): boolean {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((other) => other !== item);
    return this.#waiting.length < before;
  }

  /** The item is over, or was given up. */
  leave({ client }: Item): void {
    const known = this.#clients.get(client);
    if (known === undefined) return;
    known.items -= 1;
    if (known.items === 0) this.#clients.delete(client);
  }

  /** Tells that a client got something. */
  charge({ client }: Item, tokens: number): void {
    const known = this.#clients.get(client);
    if (known !== undefined) known.served += tokens;
  }

  #served({ client }: Item): number {
    return this.#clients.get(client)?.served ?? 0;
  }
}
