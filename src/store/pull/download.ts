import { setMaxListeners } from "node:events";
import { abortedError } from "../../media/abort.ts";
import { MullError } from "../../spec/errors.ts";
import type { Digest } from "../digest.ts";
import type { RemoteBlob } from "../remote-model.ts";
import { BackOff, isWorthRepeating } from "./back-off.ts";
import { Connection } from "./connection.ts";
import { ExtentWriter } from "./extent-writer.ts";
import type { Extent } from "./extents.ts";
import { HashFollower } from "./hash-follower.ts";
import type { PartialFile } from "./partial-file.ts";
import { type Assignment, RangePlan } from "./range-plan.ts";
import { connectionError, endError, rangeError, sizeError } from "./server-errors.ts";
import { DEFAULTS, type DownloadOptions } from "./transfer-options.ts";

const LOOK_MS = 1000;

/** Another connection has found that the server sends all from the beginning, whatever it is asked for. */
class RangesIgnored extends Error {}

/**
 * Fills a partial file over several connections and hashes it meanwhile. It begins with one; when bytes come, others
 * follow. However it ends, what came is in the file and its journal.
 */
export class Download {
  readonly #blob: RemoteBlob;
  readonly #partial: PartialFile;
  readonly #options: Required<DownloadOptions>;
  readonly #plan: RangePlan;
  readonly #follower: HashFollower;
  readonly #backOff: BackOff;
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #writers = new Set<ExtentWriter>();
  /** As many as the server was seen to serve at a time. */
  #ceiling: number;
  #limit = 1;
  #paused = false;
  /** The server ignores ranges: one connection gets all, and what is there already is skipped. */
  #sequential = false;
  #failure: MullError | undefined;
  #settle = (): void => {};

  constructor(blob: RemoteBlob, partial: PartialFile, options: DownloadOptions) {
    this.#blob = blob;
    this.#partial = partial;
    this.#options = { ...DEFAULTS, ...options };
    this.#ceiling = this.#options.connections;
    this.#plan = new RangePlan(partial.extents, partial.size, this.#ceiling);
    // Every connection listens.
    setMaxListeners(0, this.#controller.signal);
    this.#backOff = new BackOff(this.#options.retries);
    this.#follower = new HashFollower(partial.path, {
      onBad: (extent) => partial.drop(extent),
      onRest: () => {
        this.#follower.follow(partial.extents);
        this.#pump();
      },
      onFailure: (error) => this.#fail(error),
    });
  }

  /**
   * @returns the SHA-256 of what the file holds, all of which is on the disk
   * @throws MullError as `RemoteBlob.open` and `PartialFile` do; `aborted`
   */
  async run(): Promise<Digest> {
    const { signal } = this.#options;
    const abort = (): void => this.#fail(abortedError(signal));
    signal.addEventListener("abort", abort);
    // A connection may turn out to be slow when nothing else happens.
    const timer = setInterval(() => this.#pump(), LOOK_MS);
    try {
      if (signal.aborted) throw abortedError(signal);
      const settled = new Promise<void>((resolve) => (this.#settle = resolve));
      this.#follower.follow(this.#partial.extents);
      this.#pump();
      await settled;
      if (this.#failure !== undefined) throw this.#failure;
      const digest = await this.#follower.digest();
      await this.#partial.sync();
      return digest;
    } finally {
      clearInterval(timer);
      signal.removeEventListener("abort", abort);
      this.#controller.abort();
      await Promise.all(this.#running);
      await this.#follower.close();
      // On the good way it was synced; on a bad one there is an error already.
      await this.#partial.sync().catch(() => {});
      await this.#partial.close();
    }
  }

  /** Looks what there is to do; called whenever that may have changed. */
  #pump(): void {
    if (this.#failure !== undefined) return;
    if (this.#follower.position === this.#partial.size) {
      this.#settle();
      return;
    }
    while (!this.#paused && this.#running.size < this.#limit) {
      const assignment = this.#nextAssignment();
      if (assignment === undefined) return;
      const task = this.#receive(assignment)
        .catch((error: unknown) => this.#onFailedConnection(error))
        .finally(() => {
          this.#running.delete(task);
          this.#pump();
        });
      this.#running.add(task);
    }
  }

  #nextAssignment(): Assignment | undefined {
    if (!this.#sequential) return this.#plan.take();
    return this.#running.size === 0 ? this.#plan.takeFrom(0) : undefined;
  }

  /** One connection, from its request to its end. */
  async #receive(assignment: Assignment): Promise<void> {
    let range = assignment;
    let connection: Connection | undefined;
    let writer = this.#startWriter(range);
    try {
      const asked = { start: range.position, end: this.#sequential ? this.#plan.size : range.end };
      connection = await Connection.open(this.#blob, asked, {
        signal: this.#controller.signal,
        stallMs: this.#options.stallMs,
      });
      this.#checkAnswer(connection, asked.start);
      let bytes: Uint8Array | undefined;
      for (let at = connection.start; ;) {
        bytes ??= await connection.next();
        if (bytes === undefined) throw endError(this.#blob, this.#options.origin, at);
        const skipped = Math.min(bytes.length, Math.max(0, range.position - at));
        const taken = bytes.subarray(skipped, skipped + Math.max(0, range.end - at - skipped));
        const rest = bytes.subarray(skipped + taken.length);
        at += skipped + taken.length;
        if (taken.length > 0) {
          range.position += taken.length;
          const written = writer.push(taken);
          this.#onBytes();
          await written;
        }
        bytes = rest.length > 0 ? rest : undefined;
        if (range.position < range.end) continue;

        await writer.finish();
        bytes = await this.#beyond(connection, range.end < asked.end, bytes);
        if (bytes === undefined) return;
        this.#stopWriter(writer, range);
        const next = this.#plan.takeFrom(at);
        if (next === undefined) return;
        range = next;
        writer = this.#startWriter(range);
      }
    } finally {
      connection?.close();
      // Whatever becomes of it, its bytes are missing for the plan until they are extents.
      await writer.finish().finally(() => this.#stopWriter(writer, range));
    }
  }

  #startWriter(range: Assignment): ExtentWriter {
    const writer = new ExtentWriter(this.#partial, range.position, (extent) => this.#onExtent(extent));
    this.#writers.add(writer);
    return writer;
  }

  #stopWriter(writer: ExtentWriter, range: Assignment): void {
    this.#writers.delete(writer);
    this.#plan.release(range);
  }

  /** @throws MullError when it is not what was asked for; RangesIgnored when another connection gets it anyway */
  #checkAnswer({ start, total }: Connection, asked: number): void {
    const { origin } = this.#options;
    const { size } = this.#plan;
    if (total !== undefined && total !== size) throw sizeError(this.#blob, origin, total, size);
    if (start === asked) return;
    if (start !== 0) {
      throw rangeError(this.#blob, origin, asked, start);
    }
    this.#sequential = true;
    if (this.#plan.active > 1) throw new RangesIgnored();
  }

  /**
   * What the connection sends beyond its range, if that is to be used: a server that ignores ranges sends all, and only
   * now shows it when it was asked from the first byte on.
   */
  async #beyond(
    connection: Connection,
    gaveShare: boolean,
    bytes: Uint8Array | undefined,
  ): Promise<Uint8Array | undefined> {
    if (connection.start !== 0 || (gaveShare && !this.#sequential)) return undefined;
    const more = bytes ?? (await connection.beyond());
    if (more !== undefined && !gaveShare) this.#sequential = true;
    return more;
  }

  #onBytes(): void {
    this.#backOff.progress();
    this.#reportProgress();
    if (this.#limit === this.#ceiling) return;
    this.#limit = this.#ceiling;
    this.#pump();
  }

  #onExtent(extent: Extent): void {
    this.#partial.add(extent);
    this.#follower.follow(this.#partial.extents);
  }

  #reportProgress(): void {
    let completed = this.#partial.extents.bytes;
    for (const { openBytes } of this.#writers) completed += openBytes;
    this.#options.onProgress(completed);
  }

  #onFailedConnection(thrown: unknown): void {
    if (this.#failure !== undefined || thrown instanceof RangesIgnored) return;
    const error = connectionError(thrown, this.#blob.label, this.#options.origin);
    const others = this.#running.size - 1;
    this.#limit = Math.max(1, others);
    if (others > 0 && (error.code === "rate_limited" || error.code === "server_busy")) this.#ceiling = others;
    if (!isWorthRepeating(error)) this.#fail(error);
    // Connections that broke together are one failure.
    else if (!this.#paused) void this.#pause(error);
  }

  async #pause(error: MullError): Promise<void> {
    this.#paused = true;
    try {
      await this.#options.sleep(this.#backOff.delayAfter(error), this.#controller.signal);
    } catch (final) {
      if (!this.#controller.signal.aborted) this.#fail(MullError.wrap(final));
      return;
    }
    this.#paused = false;
    this.#pump();
  }

  #fail(error: MullError): void {
    this.#failure ??= error;
    this.#controller.abort();
    this.#settle();
  }
}
