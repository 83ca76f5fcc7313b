/** What bounds connections, and how slow the other side may be. */
export interface ConnectionLimits {
  /** From the first byte, or the connection, until a request's headers are complete. */
  headersTimeoutMs: number;
  /** How long a connection may wait for its next request; clients are told. */
  keepAliveTimeoutMs: number;
  maxHeaderBytes: number;
  /** Open connections in all. */
  connections: number;
  /** Open connections from one address; loopback has no limit of its own, for all its clients share the address. */
  connectionsPerAddress: number;
  /** A body must bring this many bytes… */
  leastBodyBytes: number;
  /** …within each span of this length, or have ended. */
  bodySpanMs: number;
  /** Longest that a client may take nothing of what was written for it. */
  writeStallMs: number;
  /** How often all this is looked at. */
  checkMs: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 15_000,
  maxHeaderBytes: 16 * 1024,
  connections: 1024,
  connectionsPerAddress: 64,
  // 1 KB/s. A limit of the whole time instead would cut off an honest upload over a slow line.
  leastBodyBytes: 10_240,
  bodySpanMs: 10_000,
  writeStallMs: 30_000,
  checkMs: 1000,
};
