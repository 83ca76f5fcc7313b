import { type ChildProcess as NodeChildProcess, fork } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { processEntry } from "./entry.ts";
import { KERNEL_LIMITS_MEMORY } from "./memory-limit.ts";

export interface ChildProcessOptions<Reply> {
  /** Entry relative to `src/`, with its `.js` ending. */
  entry: string;
  env?: Record<string, string>;
  /**
   * Most writable memory the child may take, in bytes; beyond it allocations fail and the child dies.
   * Enforced by the kernel where it can (`KERNEL_LIMITS_MEMORY`); elsewhere the child must watch itself.
   */
  memoryLimitBytes?: number;
  onMessage: (message: Reply) => void;
  /** Called with every line of stdout and stderr, as soon as it is complete. */
  onLine?: (line: string) => void;
  /** Called once, after the last message, however the child ended. */
  onExit: (report: ExitReport) => void;
}

export interface ExitReport {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The last lines of stdout and stderr: native libraries say there why they gave up. */
  lastLines: readonly string[];
}

const KEPT_LINES = 40;
const LONGEST_LINE = 10_000;
/** A child gets no credentials: what it parses may be hostile. */
const SECRET = /KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|AUTH/i;

/**
 * A forked Node process that speaks plain messages (structured clone, so typed arrays travel as they are).
 * It inherits no stdio and no secrets, dies with its parent, and its output is kept for the post-mortem.
 */
export class ChildProcess<Request extends object, Reply> {
  readonly #child: NodeChildProcess;
  readonly #lastLines: string[] = [];
  #exited = false;

  constructor(options: ChildProcessOptions<Reply>) {
    const environment = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !SECRET.test(name) && name !== "NODE_OPTIONS"),
    );
    const limited = options.memoryLimitBytes !== undefined && KERNEL_LIMITS_MEMORY;
    const kilobytes = Math.ceil((options.memoryLimitBytes ?? 0) / 1024);
    this.#child = fork(fileURLToPath(processEntry(options.entry)), [], {
      // The shell sets the limit and replaces itself with Node, so pid and IPC channel are the child's own.
      ...(limited ? { execPath: "/bin/sh" } : {}),
      execArgv: limited ? ["-c", `ulimit -d ${kilobytes}; exec "$0" "$@"`, process.execPath] : [],
      env: { ...environment, ...options.env },
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const keep = (line: string): void => {
      this.#keep(line);
      options.onLine?.(line);
    };
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) onLines(stream.setEncoding("utf8"), keep);
    }
    this.#child.on("message", (message) => options.onMessage(message as Reply));
    this.#child.on("error", (error) => this.#keep(error.message));
    // "close" comes after the pipes are drained, so the last words of a dying process are complete.
    this.#child.once("close", (code, signal) => {
      this.#exited = true;
      options.onExit({ code, signal, lastLines: this.#lastLines });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get exited(): boolean {
    return this.#exited;
  }

  /** Sends a message; one to a dead child is dropped, because `onExit` already tells. */
  send(message: Request): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** Lets the host's event loop end although the child lives; `ref` undoes it. */
  unref(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      (stream as unknown as { unref?: () => void } | null)?.unref?.();
    }
  }

  ref(): void {
    this.#child.ref();
    this.#child.channel?.ref();
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  #keep(line: string): void {
    if (line.trim() === "") return;
    this.#lastLines.push(line.slice(0, 500));
    if (this.#lastLines.length > KEPT_LINES) this.#lastLines.shift();
  }
}

/** Text comes in pieces that end anywhere; a line without an end is given when the stream ends, or is very long. */
function onLines(stream: Readable, take: (line: string) => void): void {
  let rest = "";
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    if (rest.length > LONGEST_LINE) {
      lines.push(rest);
      rest = "";
    }
    for (const line of lines) take(line);
  });
  stream.on("end", () => {
    if (rest !== "") take(rest);
  });
}
