import type { LibraryHandle } from "koffi";
import type { BackendPointer, DevicePointer, GgmlBackend } from "./ggml-backend.ts";
import type { Libraries } from "./libraries.ts";
import type { Pointer } from "./pointer.ts";

export type ThreadpoolPointer = Pointer<"ggml_threadpool">;

/**
 * What only the CPU device offers (ggml-cpu.h). Its library is one of several, chosen by processor generation, so
 * these functions are asked from the device instead of being looked up by name.
 */
export interface GgmlCpu {
  setThreads(backend: BackendPointer, threads: number): void;
  setThreadpool(backend: BackendPointer, threadpool: ThreadpoolPointer | null): void;
  /** `callback` is asked before every operation of a graph; true ends it with `STATUS.aborted`. */
  setAbortCallback(backend: BackendPointer, callback: unknown, data: bigint | null): void;
  threadpoolNew(threads: number): ThreadpoolPointer | null;
  threadpoolFree(threadpool: ThreadpoolPointer): void;
}

type NativeFunction = ReturnType<LibraryHandle["func"]>;

const pointer = "void *";
/** GGML_MAX_N_THREADS */
const MAX_THREADS = 512;

export function declareGgmlCpu(libraries: Libraries, backend: GgmlBackend, device: DevicePointer): GgmlCpu {
  const { koffi, base } = libraries;
  const registry = backend.deviceRegistry(device);
  const bind = (name: string, result: string, parameters: string[]): NativeFunction =>
    koffi.decode(backend.registryGetProcAddress(registry, name), koffi.proto(result, parameters));
  const paramsType = koffi.struct({
    cpumask: koffi.array("bool", MAX_THREADS),
    n_threads: "int",
    prio: "int",
    poll: "uint32",
    strict_cpu: "bool",
    paused: "bool",
  });
  const defaultParams = base.func("ggml_threadpool_params_default", paramsType, ["int"]);
  const threadpoolNew = bind("ggml_threadpool_new", pointer, [pointer]);
  return {
    setThreads: bind("ggml_backend_set_n_threads", "void", [pointer, "int"]),
    setThreadpool: bind("ggml_backend_cpu_set_threadpool", "void", [pointer, pointer]),
    setAbortCallback: bind("ggml_backend_set_abort_callback", "void", [pointer, pointer, pointer]),
    threadpoolNew(threads) {
      const params = new Uint8Array(koffi.sizeof(paramsType));
      koffi.encode(params, paramsType, defaultParams(threads));
      return threadpoolNew(params);
    },
    threadpoolFree: bind("ggml_threadpool_free", "void", [pointer]),
  };
}
