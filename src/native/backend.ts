import { MullError } from "../spec/errors.ts";
import { AbortFlag } from "./abort-flag.ts";
import { type Ggml, type GraphPointer, STATUS, type TensorPointer, declareGgml } from "./ggml.ts";
import { type GgmlAlloc, declareGgmlAlloc } from "./ggml-alloc.ts";
import {
  type BackendPointer,
  type BufferTypePointer,
  DEVICE_TYPE,
  type DevicePointer,
  type GgmlBackend,
  declareGgmlBackend,
} from "./ggml-backend.ts";
import { type GgmlCpu, declareGgmlCpu } from "./ggml-cpu.ts";
import { type GgmlQuantize, declareGgmlQuantize } from "./ggml-quantize.ts";
import { checkGgmlLayout } from "./layout-check.ts";
import type { Libraries } from "./libraries.ts";

/**
 * Threads of a graph wait for each other after every operation, spinning. On a busy machine that costs a small graph
 * far more than a second thread saves, so a thread has to bring this much: about 10 ms of work.
 */
const MULTIPLICATIONS_PER_THREAD = 5e8;

export interface BackendOptions {
  /** `auto` takes a GPU if the loaded libraries find one. */
  device: "cpu" | "auto";
  /** Most threads of a computation on the CPU. */
  threads: number;
}

/**
 * A device that computes graphs, and the native functions around it. It works on one job at a time; buffers and
 * graphs that belong to it are freed through it, so that nothing is freed under a running computation.
 */
export class Backend {
  readonly ggml: Ggml;
  readonly alloc: GgmlAlloc;
  readonly api: GgmlBackend;
  readonly quantize: GgmlQuantize;
  readonly device: DevicePointer;
  /** "CPU", "CUDA0", "Vulkan0", "Metal" */
  readonly name: string;
  /** Where tensors of this device live. */
  readonly bufferType: BufferTypePointer;
  readonly isCpu: boolean;
  readonly #pointer: BackendPointer;
  readonly #abortFlag: AbortFlag;
  readonly #cpu: GgmlCpu | undefined;
  readonly #threads: number;
  #lastJob: Promise<unknown> = Promise.resolve();

  /** @throws MullError `engine_unavailable` when no device starts, or the libraries have another layout */
  constructor(libraries: Libraries, options: BackendOptions) {
    this.ggml = declareGgml(libraries);
    checkGgmlLayout(libraries, this.ggml);
    this.alloc = declareGgmlAlloc(libraries);
    this.api = declareGgmlBackend(libraries);
    this.quantize = declareGgmlQuantize(libraries);
    const { pointer, device, isCpu } = startDevice(this.api, options.device);
    this.#pointer = pointer;
    this.device = device;
    this.isCpu = isCpu;
    this.name = this.api.deviceName(device);
    this.bufferType = this.api.defaultBufferType(pointer);
    this.#abortFlag = new AbortFlag(this.ggml);
    this.#threads = options.threads;
    this.#cpu = isCpu ? declareGgmlCpu(libraries, this.api, device) : undefined;
    this.#cpu?.setAbortCallback(pointer, this.#abortFlag.callback, this.#abortFlag.data);
  }

  /** Whether the device can compute this result. The CPU can compute all that ggml has. */
  supports(tensor: TensorPointer): boolean {
    return this.isCpu || this.api.deviceSupportsOp(this.device, tensor);
  }

  /** Runs `job` after all earlier ones have ended. */
  async exclusive<Result>(job: () => Promise<Result> | Result): Promise<Result> {
    const result = this.#lastJob.then(job);
    this.#lastJob = result.catch(() => {});
    return result;
  }

  /**
   * Computes an allocated graph while the event loop stays free. Only inside `exclusive`.
   * A CPU stops between two operations when `signal` fires.
   *
   * @param multiplications in the graph: how much there is to share between threads
   * @throws MullError `aborted`, `out_of_memory`, or `internal` when the device fails
   */
  async compute(graph: GraphPointer, multiplications: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw new MullError("aborted", "The computation was cancelled.");
    const threads = Math.ceil(multiplications / MULTIPLICATIONS_PER_THREAD);
    this.#cpu?.setThreads(this.#pointer, Math.min(this.#threads, Math.max(1, threads)));
    const raise = (): void => this.#abortFlag.set(true);
    signal?.addEventListener("abort", raise, { once: true });
    let status: number;
    try {
      status = await this.api.graphCompute(this.#pointer, graph);
    } finally {
      signal?.removeEventListener("abort", raise);
      this.#abortFlag.set(false);
    }
    if (status === STATUS.success) return;
    if (status === STATUS.aborted) throw new MullError("aborted", "The computation was cancelled.");
    if (status === STATUS.allocFailed) {
      throw new MullError("out_of_memory", `${this.name} has not enough memory for the computation.`);
    }
    throw new MullError("internal", `${this.name} failed to compute a graph (status ${status}).`);
  }

  /** Waits for the last job. */
  async close(): Promise<void> {
    await this.exclusive(() => {
      this.api.free(this.#pointer);
      this.#abortFlag.close();
    });
  }
}

function startDevice(
  api: GgmlBackend,
  wanted: "cpu" | "auto",
): { pointer: BackendPointer; device: DevicePointer; isCpu: boolean } {
  const types =
    wanted === "auto" ? [DEVICE_TYPE.gpu, DEVICE_TYPE.integratedGpu, DEVICE_TYPE.cpu] : [DEVICE_TYPE.cpu];
  for (const type of types) {
    const device = api.deviceByType(type);
    const pointer = device === null ? null : api.deviceInit(device, null);
    if (device !== null && pointer !== null) return { pointer, device, isCpu: type === DEVICE_TYPE.cpu };
  }
  throw new MullError("engine_unavailable", "The native libraries find no device to compute on.", {
    hint: "This processor may be older than what the prebuilt libraries support.",
  });
}
