import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { processEntry } from "../process/entry.ts";
import { MullError } from "../spec/errors.ts";
import type { RenderRequest } from "./template-request.ts";
import type { RenderReply } from "./render-worker.ts";

/** Generous for any honest template (they take a millisecond), short enough to answer a hostile one. */
const TIME_LIMIT_MS = 2000;
const MEMORY_LIMIT_MB = 64;
/** A template may repeat its input; nothing honest reaches this. */
const OUTPUT_LIMIT = 4 * 1024 * 1024;

/**
 * Renders chat templates in a worker thread with a time and a memory limit, one at a time.
 * A template that runs over is ended with its worker; the next call starts a new one.
 */
export class TemplateRenderer {
  #worker: Promise<Worker> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  readonly #timeLimitMs: number;

  constructor(options: { timeLimitMs?: number } = {}) {
    this.#timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
    this.#worker = startWorker();
  }

  /** @throws MullError `template_failed` with the template's own message */
  render(request: RenderRequest): Promise<string> {
    const turn = this.#last.then(() => this.#renderNow(request));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async close(): Promise<void> {
    const worker = await this.#worker?.catch(() => undefined);
    this.#worker = undefined;
    await worker?.terminate();
  }

  async #renderNow(request: RenderRequest): Promise<string> {
    const worker = await (this.#worker ??= startWorker());
    const reply = await this.#ask(worker, request);
    if ("error" in reply) {
      throw new MullError("template_failed", `The chat template could not be rendered: ${reply.error}.`, {
        hint: "Choose another with --template, such as vicuna_v1 or plain.",
      });
    }
    if (reply.text.length > OUTPUT_LIMIT) {
      throw new MullError("template_failed", `The chat template printed ${reply.text.length} characters.`, {
        hint: `The limit is ${OUTPUT_LIMIT}. Shorten the conversation, or choose another template.`,
      });
    }
    return reply.text;
  }

  #ask(worker: Worker, request: RenderRequest): Promise<RenderReply> {
    return new Promise((resolve) => {
      const settle = (reply: RenderReply): void => {
        clearTimeout(timer);
        worker.off("message", settle);
        worker.off("error", fail);
        resolve(reply);
      };
      const end = (error: string): void => {
        this.#worker = undefined;
        void worker.terminate();
        settle({ error });
      };
      const fail = (error: Error): void => end(error.message);
      const timer = setTimeout(
        () => end(`it ran for more than ${this.#timeLimitMs / 1000} s and was stopped`),
        this.#timeLimitMs,
      );
      worker.on("message", settle);
      worker.on("error", fail);
      worker.postMessage(request);
    });
  }
}

async function startWorker(): Promise<Worker> {
  const worker = new Worker(processEntry("chat/render-worker.js"), {
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB },
    env: {},
    execArgv: [],
  });
  worker.unref();
  await once(worker, "message");
  return worker;
}
