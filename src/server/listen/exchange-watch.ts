import type { IncomingMessage, ServerResponse } from "node:http";
import { MullError } from "../../spec/errors.ts";
import type { ServerLifetime } from "../server-lifetime.ts";
import type { ConnectionLimits } from "./connection-limits.ts";

interface Exchange {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  /** Bytes that had come when the span began, and its time. */
  bodyBytes: number;
  bodySince: number;
  /** What was written and what of it waits, when that changed last, and its time. */
  written: number;
  waiting: number;
  writtenSince: number;
}

/**
 * Cuts off clients that hold a request or an answer by being slow: bodies that drip (slow-loris), and readers who do
 * not read. Node's own `requestTimeout` limits the whole time instead, and would cut off a long upload that goes well.
 */
export class ExchangeWatch {
  readonly #limits: ConnectionLimits;
  readonly #lifetime: ServerLifetime;
  readonly #exchanges = new Set<Exchange>();
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: ConnectionLimits, lifetime: ServerLifetime) {
    this.#limits = limits;
    this.#lifetime = lifetime;
  }

  add(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const now = performance.now();
    const { bytesRead, bytesWritten } = incoming.socket;
    const exchange: Exchange = {
      incoming,
      outgoing,
      bodyBytes: bytesRead,
      bodySince: now,
      written: bytesWritten,
      waiting: 0,
      writtenSince: now,
    };
    this.#exchanges.add(exchange);
    this.#timer ??= setInterval(() => this.#check(), this.#limits.checkMs).unref();
    outgoing.once("close", () => {
      this.#exchanges.delete(exchange);
      if (this.#exchanges.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }

  #check(): void {
    const now = performance.now();
    for (const exchange of this.#exchanges) {
      this.#checkBody(exchange, now);
      this.#checkReader(exchange, now);
    }
  }

  #checkBody(exchange: Exchange, now: number): void {
    const { incoming, outgoing } = exchange;
    if (incoming.complete || now - exchange.bodySince < this.#limits.bodySpanMs) return;
    const { bytesRead } = incoming.socket;
    if (bytesRead - exchange.bodyBytes >= this.#limits.leastBodyBytes) {
      exchange.bodyBytes = bytesRead;
      exchange.bodySince = now;
      return;
    }
    const reason = new MullError("timeout", "The body of the request came too slowly.");
    // The app answers with the reason; a second time, or without an app, there is nobody to talk with.
    if (outgoing.headersSent || !this.#lifetime.abort(incoming, reason)) incoming.socket.destroy();
    exchange.bodySince = now;
  }

  #checkReader(exchange: Exchange, now: number): void {
    const { bytesWritten, writableLength } = exchange.incoming.socket;
    const isMoving = bytesWritten !== exchange.written || writableLength !== exchange.waiting;
    if (writableLength === 0 || isMoving) {
      exchange.written = bytesWritten;
      exchange.waiting = writableLength;
      exchange.writtenSince = now;
    } else if (now - exchange.writtenSince >= this.#limits.writeStallMs) exchange.incoming.socket.destroy();
  }
}
