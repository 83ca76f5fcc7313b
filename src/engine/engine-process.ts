import { ChildProcess, type ExitReport } from "../process/child-process.ts";
import { MullError } from "../spec/errors.ts";
import type { EngineStats, ModelInfo } from "../spec/model.ts";
import type {
  EmbedRequest,
  EmbedResult,
  EncodedImageFacts,
  EngineLoadOptions,
  EnginePart,
  EngineReply,
  EngineRequest,
  GenerateRequest,
  PromptImage,
  PromptRequest,
  PromptTokens,
} from "./protocol.ts";

/** How long a process may take to write its caches before it is killed. */
const CLOSE_MS = 3000;

type DistributiveOmit<Type, Key extends PropertyKey> = Type extends unknown ? Omit<Type, Key> : never;

export interface LoadedEngine {
  info: ModelInfo;
  loadMs: number;
}

/** Gets the replies of one request, and one error if the request or the process fails. */
interface Waiter {
  reply: (reply: EngineReply) => void;
  fail: (error: MullError) => void;
}

/**
 * One engine process and the requests in flight. A crash fails those and nothing else; who wants to go on starts
 * another `EngineProcess`.
 */
export class EngineProcess {
  /** Settles when the model is loaded, or why it is not. */
  readonly ready: Promise<LoadedEngine>;
  readonly #child: ChildProcess<EngineRequest, EngineReply>;
  readonly #waiters = new Map<number, Waiter>();
  readonly #name: string;
  readonly #exited: Promise<void>;
  #nextId = 1;
  #end: MullError | undefined;

  constructor(options: EngineLoadOptions, onProgress: (completedBytes: number, totalBytes: number) => void) {
    this.#name = options.name;
    let settle: { resolve: (loaded: LoadedEngine) => void; reject: (error: MullError) => void };
    this.ready = new Promise((resolve, reject) => (settle = { resolve, reject }));
    // Whoever loads awaits `ready`; a failure nobody awaits yet must not end the program.
    this.ready.catch(() => {});
    let exited = (): void => {};
    this.#exited = new Promise((resolve) => (exited = resolve));
    this.#child = new ChildProcess({
      entry: "engine/child.js",
      // One thread of libuv calls native code: with more, each would get its own team of workers (DESIGN 2).
      // On a failed assertion ggml would attach a debugger to print a backtrace; it shall only die.
      env: { UV_THREADPOOL_SIZE: "1", GGML_NO_BACKTRACE: "1" },
      onMessage: (reply) => {
        if (reply.type === "load-progress") onProgress(reply.completed, reply.total);
        else if (reply.type === "loaded") settle.resolve(reply);
        else if (reply.type === "load-failed") settle.reject(MullError.from(reply.error));
        else this.#waiters.get(reply.id)?.reply(reply);
      },
      onExit: (report) => {
        this.#end ??= crashError(this.#name, report);
        settle.reject(this.#end);
        for (const waiter of this.#waiters.values()) waiter.fail(this.#end);
        this.#waiters.clear();
        exited();
      },
    });
    this.#child.send({ type: "load", options });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#end === undefined && !this.#child.exited;
  }

  /** Parts of an answer. Leaving the loop, or an abort, cancels the request in the process. */
  async *generate(request: GenerateRequest, signal: AbortSignal | undefined): AsyncGenerator<EnginePart> {
    const { id, queue, release } = this.#open(signal);
    let ended = false;
    try {
      this.#child.send({ type: "generate", id, request });
      while (true) {
        const reply = await queue.next();
        ended = reply.type === "generated";
        if (ended) return;
        if (reply.type === "part") yield reply.part;
      }
    } finally {
      release();
      this.#close(id, !ended);
    }
  }

  embed(request: EmbedRequest, signal: AbortSignal | undefined): Promise<EmbedResult> {
    return this.#ask({ type: "embed", request }, "embedded", signal).then(({ result }) => result);
  }

  /** Tokens that a prompt takes. */
  count(request: PromptRequest, signal: AbortSignal | undefined): Promise<PromptTokens> {
    return this.#ask({ type: "count", request }, "counted", signal).then(({ tokens }) => tokens);
  }

  /** What the encoder would see of a picture. */
  inspect(image: PromptImage, signal: AbortSignal | undefined): Promise<EncodedImageFacts> {
    return this.#ask({ type: "inspect", image }, "inspected", signal).then(({ seen }) => seen);
  }

  stats(): Promise<EngineStats> {
    return this.#ask({ type: "stats" }, "stats", undefined).then(({ stats }) => stats);
  }

  /** Lets the program end although the process lives; requests in flight hold it. */
  unrefWhenIdle(): void {
    if (this.#waiters.size === 0) this.#child.unref();
  }

  /** Fails requests in flight with `error`, lets the process write what it keeps for the next one, and ends it. */
  async close(error: MullError): Promise<void> {
    this.#end ??= error;
    for (const waiter of this.#waiters.values()) waiter.fail(error);
    this.#waiters.clear();
    this.#child.send({ type: "close" });
    const timer = setTimeout(() => this.#child.kill(), CLOSE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** One question with one reply. */
  async #ask<Type extends EngineReply["type"]>(
    question: DistributiveOmit<Extract<EngineRequest, { id: number }>, "id">,
    type: Type,
    signal: AbortSignal | undefined,
  ): Promise<Extract<EngineReply, { type: Type }>> {
    const { id, queue, release } = this.#open(signal);
    let ended = false;
    try {
      this.#child.send({ ...question, id });
      while (true) {
        const reply = await queue.next();
        ended = reply.type === type;
        if (ended) return reply as Extract<EngineReply, { type: Type }>;
      }
    } finally {
      release();
      this.#close(id, !ended);
    }
  }

  #open(signal: AbortSignal | undefined): { id: number; queue: ReplyQueue; release: () => void } {
    signal?.throwIfAborted();
    if (this.#end !== undefined) throw this.#end;
    const id = this.#nextId++;
    const queue = new ReplyQueue();
    const abort = (): void => queue.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiters.set(id, {
      reply: (reply) =>
        reply.type === "failed" ? queue.fail(MullError.from(reply.error)) : queue.push(reply),
      fail: (error) => queue.fail(error),
    });
    this.#child.ref();
    return { id, queue, release: () => signal?.removeEventListener("abort", abort) };
  }

  #close(id: number, cancel: boolean): void {
    if (this.#waiters.delete(id) && cancel) this.#child.send({ type: "cancel", id });
    this.unrefWhenIdle();
  }
}

/** Replies in order; `next` waits for one. A failure comes after what was already received, an abort at once. */
class ReplyQueue {
  #replies: EngineReply[] = [];
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(reply: EngineReply): void {
    this.#replies.push(reply);
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  abort(reason: unknown): void {
    this.#replies = [];
    this.fail(reason);
  }

  async next(): Promise<EngineReply> {
    while (true) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** `abort()` of a native assertion, a fault, or the kernel's out-of-memory killer: say which, with the last words. */
function crashError(name: string, { code, signal, lastLines }: ExitReport): MullError {
  const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
  const memory = signal === "SIGKILL" ? " If nobody killed it, the machine ran out of memory." : "";
  return new MullError(
    "engine_crashed",
    `The engine of ${name} ${how}; the answer in flight is lost.${memory}`,
    {
      hint: "Ask again: the engine starts anew.",
      details: { signal, code, lastLines: lastLines.slice(-10) },
    },
  );
}
