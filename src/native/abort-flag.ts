import { MullError } from "../spec/errors.ts";
import type { ContextPointer, Ggml } from "./ggml.ts";

/**
 * Lets JavaScript stop a computation that runs on another thread.
 *
 * Native code asks `callback(data)` between operations, from its own threads, where JavaScript must not be called.
 * So callback and data are ggml's own: an empty context is the flag, and `ggml_get_no_alloc` reads it.
 */
export class AbortFlag {
  readonly #ggml: Ggml;
  readonly #context: ContextPointer;

  constructor(ggml: Ggml) {
    this.#ggml = ggml;
    const context = ggml.init({ mem_size: ggml.tensorOverhead(), mem_buffer: null, no_alloc: false });
    if (context === null) throw new MullError("out_of_memory", "No memory for a flag of a few bytes.");
    this.#context = context;
  }

  /** Fits `ggml_abort_callback`: bool (*)(void * data). */
  get callback(): unknown {
    return this.#ggml.getNoAlloc;
  }

  get data(): bigint {
    return this.#context;
  }

  set(aborted: boolean): void {
    this.#ggml.setNoAlloc(this.#context, aborted);
  }

  close(): void {
    this.#ggml.free(this.#context);
  }
}
