import { ChildProcess, type ExitReport } from "../process/child-process.ts";
import { MullError } from "../spec/errors.ts";
import { abortedError, throwIfAborted } from "./abort.ts";
import type { DecodedImage } from "./decode-image.ts";
import { type MediaLimits, mediaLimits } from "./limits.ts";
import type { MediaItem } from "./media-item.ts";
import { type MediaReply, type MediaRequest, MEMORY_EXIT_CODE } from "./protocol.ts";

export interface TimedDecode extends DecodedImage {
  /** Wall-clock time from leaving the queue to the pixels being here, in milliseconds. */
  milliseconds: number;
}

/** The decode that the process works on. */
interface Job {
  id: number;
  item: MediaItem;
  settle: (result: DecodedImage | MullError) => void;
}

const ENVIRONMENT = {
  // Pixels live outside V8's heap; what is in it is small.
  NODE_OPTIONS: "--max-old-space-size=64",
  // Fewer heaps of malloc: freed pixels are used again by whichever thread decodes next.
  MALLOC_ARENA_MAX: "2",
  UV_THREADPOOL_SIZE: "1",
};

/**
 * Decodes pictures in a process of their own, one at a time, in the order of the calls.
 *
 * The process starts with the first decode (or `start()`), is kept for the next one, and never keeps a program
 * alive. Whatever a picture does to it fails that picture alone: the next decode starts a new process.
 */
export class MediaDecoder {
  readonly #limits: MediaLimits;
  #process: ChildProcess<MediaRequest, MediaReply> | undefined;
  #job: Job | undefined;
  /** Settles when the last decode so far has left the process. */
  #queue: Promise<void> = Promise.resolve();
  #nextId = 1;
  #closed = false;

  /** @throws MullError invalid_argument for limits that are not positive numbers */
  constructor(options: { limits?: Partial<MediaLimits> } = {}) {
    this.#limits = mediaLimits(options.limits);
  }

  /** Process id of the running media process, for those who watch processes. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts the process ahead of the first decode, to hide its start behind other work. */
  start(): void {
    if (!this.#closed) this.#liveProcess();
  }

  /**
   * Bytes to upright 8-bit sRGB pixels and the receipt of how they came about.
   * A cancelled decode ends the process it runs in; nothing less stops native code.
   *
   * @throws MullError invalid_media, media_too_large, aborted, closed, engine_unavailable (no decoder installed)
   */
  async decode(item: MediaItem, options: { signal?: AbortSignal } = {}): Promise<TimedDecode> {
    const { signal } = options;
    throwIfAborted(signal);
    const before = this.#queue;
    let leave = (): void => {};
    this.#queue = new Promise((resolve) => (leave = resolve));
    try {
      await orAborted(before, signal);
      const started = performance.now();
      const decoded = await this.#decodeNow(item, signal);
      return { ...decoded, milliseconds: performance.now() - started };
    } finally {
      // One that was cancelled while it waited leaves its place to whoever waits behind it.
      void before.then(leave);
    }
  }

  /** Ends the process. A decode in flight, and every later one, fails with `closed`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#abandon(this.#closedError());
    this.#endProcess();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #decodeNow(item: MediaItem, signal: AbortSignal | undefined): Promise<DecodedImage> {
    throwIfAborted(signal);
    if (this.#closed) throw this.#closedError();
    const process = this.#liveProcess();
    // A program that awaits a decode must stay alive for it.
    process.ref();
    const id = this.#nextId++;
    const seconds = this.#limits.milliseconds / 1000;
    const onTimeout = (): void => this.#abandon(timeoutError(item, seconds));
    const timer = setTimeout(onTimeout, this.#limits.milliseconds);
    const onAbort = (): void => this.#abandon(abortedError(signal as AbortSignal));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await new Promise<DecodedImage>((resolve, reject) => {
        const settle = (result: DecodedImage | MullError): void =>
          MullError.is(result) ? reject(result) : resolve(result);
        this.#job = { id, item, settle };
        process.send({ type: "decode", id, item, limits: this.#limits });
      });
    } finally {
      this.#job = undefined;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      process.unref();
    }
  }

  #liveProcess(): ChildProcess<MediaRequest, MediaReply> {
    if (this.#process !== undefined && !this.#process.exited) return this.#process;
    const process = new ChildProcess<MediaRequest, MediaReply>({
      entry: "media/media-child.js",
      env: ENVIRONMENT,
      memoryLimitBytes: this.#limits.memoryBytes,
      onMessage: (reply) => this.#receive(reply),
      onExit: (report) => {
        // One that was ended on purpose has been replaced already, and its job has been told why.
        if (this.#process !== process) return;
        this.#process = undefined;
        const job = this.#job;
        job?.settle(crashError(job.item, report));
      },
    });
    process.unref();
    this.#process = process;
    return process;
  }

  #receive(reply: MediaReply): void {
    const job = this.#job;
    if (job === undefined || job.id !== reply.id) return;
    if (reply.type === "failed") job.settle(MullError.from(reply.error));
    else job.settle({ image: reply.image, receipt: reply.receipt });
  }

  /** Fails the decode in flight and ends the process that is busy with it. */
  #abandon(error: MullError): void {
    if (this.#job === undefined) return;
    this.#endProcess();
    this.#job.settle(error);
  }

  #endProcess(): void {
    const process = this.#process;
    this.#process = undefined;
    process?.kill();
  }

  #closedError(): MullError {
    return new MullError("closed", "The picture decoder was closed.");
  }
}

/** `work`, or a rejection as soon as the signal fires. */
async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortedError(signal));
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function timeoutError(item: MediaItem, seconds: number): MullError {
  return new MullError("media_too_large", `${item.name} took longer than ${seconds} s to decode.`, {
    hint: "Save the picture as a plain PNG or JPEG of a smaller size first.",
  });
}

/** Why a media process died: over its memory, or a fault that these bytes (or somebody's kill) brought about. */
function crashError(item: MediaItem, report: ExitReport): MullError {
  const { code, signal, lastLines } = report;
  const details = { exitCode: code, signal, lastLines };
  if (code === MEMORY_EXIT_CODE || lastLines.some((line) => /memory|alloc/i.test(line))) {
    return new MullError("media_too_large", `${item.name} needs more memory to decode than is allowed.`, {
      hint: "Make the picture smaller first, or save it without interlacing.",
      details,
    });
  }
  const end = signal === null ? `exit code ${code}` : signal;
  return new MullError("invalid_media", `The media process died (${end}) while it decoded ${item.name}.`, {
    hint: "Other pictures are not affected. If it happens again with this one, the file is damaged.",
    details,
  });
}
