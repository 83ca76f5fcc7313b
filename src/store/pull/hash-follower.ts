import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { processEntry } from "../../process/entry.ts";
import { MullError } from "../../spec/errors.ts";
import { type Digest, digestOfHex } from "../digest.ts";
import type { Extent, ExtentSet } from "./extents.ts";
import type { HashReply, HashRequest } from "./hash-worker.ts";

/** Given to the worker at a time. */
const REQUEST_BYTES = 64 * 1024 * 1024;

export interface HashFollowerEvents {
  /** An extent is not what was written, or what an earlier process said of it. */
  onBad(extent: Extent): void;
  /** It came further, or has to wait. */
  onRest(): void;
  onFailure(error: MullError): void;
}

/** SHA-256 of a file that is being written, in a thread of its own: reads and checks one extent after the other. */
export class HashFollower {
  readonly #worker: Worker;
  readonly #events: HashFollowerEvents;
  #position = 0;
  #busy = false;

  constructor(path: string, events: HashFollowerEvents) {
    this.#events = events;
    const entry = processEntry("store/pull/hash-worker.js");
    // No options of the program's own: those of `node --input-type … --eval` make a worker fail.
    this.#worker = new Worker(entry, { workerData: path, env: {}, execArgv: [] });
    this.#worker.on("message", (reply: HashReply) => this.#hear(reply));
    this.#worker.on("error", (error) => events.onFailure(failureOf(error.message)));
  }

  /** All bytes before it are hashed. */
  get position(): number {
    return this.#position;
  }

  /** Goes on as far as there are extents. */
  follow(extents: ExtentSet): void {
    if (this.#busy) return;
    const run = extents.from(this.#position, REQUEST_BYTES);
    if (run.length === 0) return;
    this.#busy = true;
    this.#worker.postMessage(run satisfies HashRequest);
  }

  /** Of all that was hashed. Nothing can be hashed afterwards. */
  async digest(): Promise<Digest> {
    this.#worker.postMessage([] satisfies HashRequest);
    const [reply] = (await once(this.#worker, "message")) as [HashReply];
    if (reply.kind !== "digest") throw failureOf("it answered something else");
    return digestOfHex(reply.hex);
  }

  async close(): Promise<void> {
    this.#worker.removeAllListeners().on("error", () => {});
    await this.#worker.terminate();
  }

  #hear(reply: HashReply): void {
    if (reply.kind === "digest") return;
    this.#busy = false;
    if (reply.kind === "failed") {
      this.#events.onFailure(
        new MullError("store_unavailable", `A download could not be read back: ${reply.message}.`, {
          hint: "Check the disk.",
          details: { code: reply.code },
        }),
      );
      return;
    }
    this.#position = reply.end;
    if (reply.bad !== undefined) this.#events.onBad(reply.bad);
    this.#events.onRest();
  }
}

function failureOf(problem: string): MullError {
  return new MullError("internal", `The thread that hashes a download failed: ${problem}.`);
}
