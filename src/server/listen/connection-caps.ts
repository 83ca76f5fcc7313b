import type { Socket } from "node:net";
import { isLoopback } from "../loopback.ts";
import type { ConnectionLimits } from "./connection-limits.ts";

const BODY = JSON.stringify({ error: "The server has too many connections. Try again in a moment." });

/**
 * Written without waiting for a request. A plain `server.maxConnections` would close the connection instead, which a
 * healthy client sees as ECONNRESET and cannot tell from a crash.
 */
const REFUSAL =
  "HTTP/1.1 503 Service Unavailable\r\n" +
  "Content-Type: application/json\r\n" +
  `Content-Length: ${Buffer.byteLength(BODY)}\r\n` +
  "Retry-After: 1\r\n" +
  "Connection: close\r\n" +
  `\r\n${BODY}`;

/** How long a refused client may take to read why. */
const LINGER_MS = 2000;

/** Counts open connections, in all and by address, and refuses politely what is too much. */
export class ConnectionCaps {
  readonly #limits: Pick<ConnectionLimits, "connections" | "connectionsPerAddress">;
  readonly #byAddress = new Map<string, number>();
  readonly #refused = new WeakSet<object>();
  #open = 0;

  constructor(limits: Pick<ConnectionLimits, "connections" | "connectionsPerAddress">) {
    this.#limits = limits;
  }

  /** Connections that are open and were not refused. */
  get open(): number {
    return this.#open;
  }

  /** @returns whether the connection may stay; if not, it has been answered and closes soon */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    const ofAddress = this.#byAddress.get(address) ?? 0;
    const isFull = this.#open >= this.#limits.connections;
    if (isFull || (ofAddress >= this.#limits.connectionsPerAddress && !isLoopback(address))) {
      this.#refuse(socket);
      return false;
    }
    this.#open += 1;
    this.#byAddress.set(address, ofAddress + 1);
    socket.once("close", () => {
      this.#open -= 1;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
    return true;
  }

  /** Whether a request came over a connection that was refused: it is answered already. */
  isRefused(socket: Socket): boolean {
    return this.#refused.has(socket);
  }

  #refuse(socket: Socket): void {
    this.#refused.add(socket);
    // The client may be gone before it reads this.
    socket.on("error", () => {});
    socket.end(REFUSAL);
    const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    socket.once("close", () => clearTimeout(linger));
  }
}
