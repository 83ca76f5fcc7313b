import type { GraphPointer, TensorPointer } from "./ggml.ts";
import type { Libraries } from "./libraries.ts";
import type { Bytes, Pointer } from "./pointer.ts";

export type DevicePointer = Pointer<"ggml_backend_device">;
export type RegistryPointer = Pointer<"ggml_backend_reg">;
export type BackendPointer = Pointer<"ggml_backend">;
export type BufferTypePointer = Pointer<"ggml_backend_buffer_type">;
export type BufferPointer = Pointer<"ggml_backend_buffer">;

/** `enum ggml_backend_dev_type` */
export const DEVICE_TYPE = { cpu: 0, gpu: 1, integratedGpu: 2 } as const;
/** `enum ggml_backend_buffer_usage` */
export const BUFFER_USAGE = { weights: 1 } as const;

/** ggml-backend.h, as far as mull uses it. A device is hardware; a backend is a stream of work on it. */
export interface GgmlBackend {
  deviceByType(type: number): DevicePointer | null;
  deviceName(device: DevicePointer): string;
  deviceRegistry(device: DevicePointer): RegistryPointer;
  deviceInit(device: DevicePointer, parameters: null): BackendPointer | null;
  deviceSupportsOp(device: DevicePointer, op: TensorPointer): boolean;
  /** Address of a function that only this kind of device has, or null. */
  registryGetProcAddress(registry: RegistryPointer, name: string): bigint | null;
  free(backend: BackendPointer): void;
  defaultBufferType(backend: BackendPointer): BufferTypePointer;
  bufferFree(buffer: BufferPointer): void;
  bufferGetSize(buffer: BufferPointer): number;
  bufferSetUsage(buffer: BufferPointer, usage: number): void;
  /** Offset and size in bytes. */
  tensorSet(tensor: TensorPointer, data: Bytes, offset: number, size: number): void;
  tensorGet(tensor: TensorPointer, data: Bytes, offset: number, size: number): void;
  /** Resolves with a `STATUS`. Runs on libuv's pool. */
  graphCompute(backend: BackendPointer, graph: GraphPointer): Promise<number>;
}

const pointer = "void *";

export function declareGgmlBackend({ base, ggml }: Libraries): GgmlBackend {
  const graphCompute = base.func("ggml_backend_graph_compute", "int", [pointer, pointer]);
  return {
    deviceByType: ggml.func("ggml_backend_dev_by_type", pointer, ["int"]),
    deviceName: base.func("ggml_backend_dev_name", "str", [pointer]),
    deviceRegistry: base.func("ggml_backend_dev_backend_reg", pointer, [pointer]),
    deviceInit: base.func("ggml_backend_dev_init", pointer, [pointer, "str"]),
    deviceSupportsOp: base.func("ggml_backend_dev_supports_op", "bool", [pointer, pointer]),
    registryGetProcAddress: base.func("ggml_backend_reg_get_proc_address", pointer, [pointer, "str"]),
    free: base.func("ggml_backend_free", "void", [pointer]),
    defaultBufferType: base.func("ggml_backend_get_default_buffer_type", pointer, [pointer]),
    bufferFree: base.func("ggml_backend_buffer_free", "void", [pointer]),
    bufferGetSize: base.func("ggml_backend_buffer_get_size", "size_t", [pointer]),
    bufferSetUsage: base.func("ggml_backend_buffer_set_usage", "void", [pointer, "int"]),
    tensorSet: base.func("ggml_backend_tensor_set", "void", [pointer, pointer, "size_t", "size_t"]),
    tensorGet: base.func("ggml_backend_tensor_get", "void", [pointer, pointer, "size_t", "size_t"]),
    graphCompute: (backend, graph) =>
      new Promise((resolve, reject) => {
        graphCompute.async(backend, graph, (error: Error | null, status: number) =>
          error === null ? resolve(status) : reject(error),
        );
      }),
  };
}
