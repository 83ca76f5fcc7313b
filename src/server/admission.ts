/**
 * Who may begin. Counts requests by client and by model, waiting ones included, and refuses what is too much:
 * a bounded queue answers quickly, an unbounded one only late.
 */
export interface Admission {
  /**
   * @returns a function that gives the place back; call it once, whatever happened
   * @throws MullError `server_busy` (queue of the model full, or the server is ending), `rate_limited` (client)
   */
  enter(client: string, model: string): () => void;
  /** Requests inside, by model. */
  readonly pending: ReadonlyMap<string, number>;
}
