import type { LibraryHandle } from "koffi";
import type { BackendPointer, DevicePointer, GgmlBackend } from "./ggml-backend.ts";
import type { Libraries } from "./libraries.ts";

/**
 * What only the CPU device offers (ggml-cpu.h). Its library is one of several, chosen by processor generation, so
 * these functions are asked from the device instead of being looked up by name.
 */
export interface GgmlCpu {
  setThreads(backend: BackendPointer, threads: number): void;
  /** `callback` is asked before every operation of a graph; true ends it with `STATUS.aborted`. */
  setAbortCallback(backend: BackendPointer, callback: unknown, data: bigint | null): void;
}

type NativeFunction = ReturnType<LibraryHandle["func"]>;

const pointer = "void *";

export function declareGgmlCpu({ koffi }: Libraries, backend: GgmlBackend, device: DevicePointer): GgmlCpu {
  const registry = backend.deviceRegistry(device);
  const bind = (name: string, result: string, parameters: string[]): NativeFunction =>
    koffi.decode(backend.registryGetProcAddress(registry, name), koffi.proto(result, parameters));
  return {
    setThreads: bind("ggml_backend_set_n_threads", "void", [pointer, "int"]),
    setAbortCallback: bind("ggml_backend_set_abort_callback", "void", [pointer, pointer, pointer]),
  };
}
