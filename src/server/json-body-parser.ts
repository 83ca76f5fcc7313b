import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { processEntry } from "../process/entry.ts";
import { MullError } from "../spec/errors.ts";
import type { JsonBodyReply } from "./json-body-worker.ts";
import { parseJson } from "./parse-json.ts";

export interface JsonBodyParserOptions {
  /** Bodies below this many bytes are parsed where they are: a worker would take longer. Default 256 KiB. */
  inlineBytes?: number;
  /** Bytes of bodies that may wait for the worker, itself included. Default 512 MiB. */
  waitingBytes?: number;
  /** Longest that one body may take, in ms. Default 10 s. */
  timeLimitMs?: number;
  /** Heap of the worker, in MiB. Default 768: a body of 64 MiB and what it becomes, with room to spare. */
  heapMb?: number;
}

/**
 * Bytes of request bodies to JSON values without stopping the event loop: a picture of 48 MB as base64 takes a third
 * of a second to parse, during which nobody else's tokens would flow. Large bodies go to one worker thread and come
 * back with their pictures as bytes; memory is handed over, not copied. See `parseJson` for what is checked.
 */
export class JsonBodyParser {
  readonly #inlineBytes: number;
  readonly #waitingBytes: number;
  readonly #timeLimitMs: number;
  readonly #heapMb: number;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: JsonBodyParserOptions = {}) {
    this.#inlineBytes = options.inlineBytes ?? 256 * 1024;
    this.#waitingBytes = options.waitingBytes ?? 512 * 1024 ** 2;
    this.#timeLimitMs = options.timeLimitMs ?? 10_000;
    this.#heapMb = options.heapMb ?? 768;
  }

  /**
   * @param body (bytes) uint8, UTF-8; its memory is gone afterwards
   * @throws MullError `invalid_argument`, `body_too_large` (parsed, it outgrows the worker), `server_busy`
   */
  async parse(body: Uint8Array<ArrayBuffer>): Promise<unknown> {
    if (body.length < this.#inlineBytes) return parseJson(body).value;
    if (this.#waiting > 0 && this.#waiting + body.length > this.#waitingBytes) {
      throw new MullError("server_busy", "The server has more large requests to read than it has room for.", {
        details: { retryAfterSeconds: 1 },
      });
    }
    const size = body.length;
    this.#waiting += size;
    const turn = this.#last.then(() => this.#parseInWorker(body));
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting -= size;
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  async #parseInWorker(body: Uint8Array<ArrayBuffer>): Promise<unknown> {
    const worker = (this.#worker ??= this.#startWorker());
    // While it works it keeps the process alive, and only then.
    worker.ref();
    const timer = new AbortController();
    const timeout = setTimeout(() => timer.abort(), this.#timeLimitMs);
    try {
      worker.postMessage(body, [body.buffer]);
      const [reply] = (await once(worker, "message", { signal: timer.signal })) as [JsonBodyReply];
      if ("error" in reply) throw MullError.from(reply.error);
      return reply.value;
    } catch (error) {
      if (MullError.is(error)) throw error;
      this.#worker = undefined;
      await worker.terminate();
      if (timer.signal.aborted) throw new MullError("timeout", "The request's body took too long to parse.");
      // It ran out of heap, which a small body of many values can do.
      throw new MullError("body_too_large", "The request's body takes too much memory when it is parsed.", {
        cause: error,
      });
    } finally {
      clearTimeout(timeout);
      worker.unref();
    }
  }

  #startWorker(): Worker {
    return new Worker(processEntry("server/json-body-worker.js"), {
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMb },
      env: {},
      execArgv: [],
    });
  }
}
