import { performance } from "node:perf_hooks";
import { abortedError } from "../../media/abort.ts";
import { MullError } from "../../spec/errors.ts";
import type { ByteRange, RemoteBlob, RemoteBytes } from "../remote-model.ts";

export interface ConnectionOptions {
  signal: AbortSignal;
  /** A connection on which nothing comes for so long is given up. */
  stallMs: number;
}

/** How long the end of a body is waited for when all its bytes are there. */
const END_MS = 1000;

/** One answer being read. Whatever the other side does, waiting ends when the signal fires or nothing comes. */
export class Connection {
  /** Where its bytes begin. */
  start = 0;
  /** Of the whole blob, if the server says. */
  total: number | undefined;
  readonly #controller = new AbortController();
  readonly #options: ConnectionOptions;
  readonly #label: string;
  #body: AsyncIterator<Uint8Array> | undefined;
  #failure: Error | undefined;
  #reject: ((error: Error) => void) | undefined;
  #waitingSince = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(label: string, options: ConnectionOptions) {
    this.#label = label;
    this.#options = options;
    options.signal.addEventListener("abort", this.#abort);
  }

  /** @throws MullError what `blob.open` throws, `aborted`, `server_unreachable` when nothing comes */
  static async open(blob: RemoteBlob, range: ByteRange, options: ConnectionOptions): Promise<Connection> {
    if (options.signal.aborted) throw abortedError(options.signal);
    const connection = new Connection(blob.label, options);
    const opening = blob.open(range, connection.#controller.signal);
    try {
      connection.#use(await connection.#wait(opening));
      return connection;
    } catch (error) {
      connection.close();
      // It may answer although nobody waits any more.
      opening
        .then(
          ({ body }) => body[Symbol.asyncIterator]().return?.(),
          () => {},
        )
        .catch(() => {});
      throw error;
    }
  }

  /** (n,) uint8; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    const body = this.#body as AsyncIterator<Uint8Array>;
    const { done, value } = await this.#wait(body.next());
    return done === true ? undefined : value;
  }

  /**
   * When all its bytes are there: undefined if it ends now, which lets the connection be used again, else what comes
   * beyond. A connection that does neither does no harm.
   */
  async beyond(): Promise<Uint8Array | undefined> {
    const timer = setTimeout(() => this.#fail(new Error("It does not end.")), END_MS);
    try {
      for (;;) {
        const chunk = await this.next();
        if (chunk === undefined || chunk.length > 0) return chunk;
      }
    } catch (error) {
      if (this.#options.signal.aborted) throw error;
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#abort);
    this.#failure ??= new MullError("closed", "The connection was closed.");
    this.#controller.abort(this.#failure);
    // Not waited for: a body that hangs would hang here.
    Promise.resolve(this.#body?.return?.()).catch(() => {});
  }

  #use({ start, total, body }: RemoteBytes): void {
    this.start = start;
    this.total = total;
    this.#body = body[Symbol.asyncIterator]();
  }

  readonly #abort = (): void => this.#fail(abortedError(this.#options.signal));

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#reject?.(this.#failure);
    this.#controller.abort(this.#failure);
  }

  #wait<T>(promise: Promise<T>): Promise<T> {
    this.#waitingSince = performance.now();
    this.#timer ??= setTimeout(this.#look, this.#options.stallMs);
    return new Promise<T>((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      this.#reject = reject;
      promise.then(
        (value) => {
          this.#reject = undefined;
          resolve(value);
        },
        (error: unknown) => reject(this.#failure ?? (error as Error)),
      );
    });
  }

  /** One timer for many chunks: it looks when the last one came. */
  readonly #look = (): void => {
    this.#timer = undefined;
    if (this.#reject === undefined) return;
    const silent = performance.now() - this.#waitingSince;
    const { stallMs } = this.#options;
    if (silent < stallMs) {
      this.#timer = setTimeout(this.#look, stallMs - silent);
      return;
    }
    const seconds = Math.round(stallMs / 100) / 10;
    this.#fail(
      new MullError("server_unreachable", `${this.#label}: nothing came for ${seconds} s.`, {
        details: { reason: "timeout" },
      }),
    );
  };
}
