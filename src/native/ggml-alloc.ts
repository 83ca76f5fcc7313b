import type { ContextPointer, GraphPointer } from "./ggml.ts";
import type { BufferPointer, BufferTypePointer } from "./ggml-backend.ts";
import type { Libraries } from "./libraries.ts";
import type { Pointer } from "./pointer.ts";

export type GraphAllocatorPointer = Pointer<"ggml_gallocr">;

/** ggml-alloc.h, as far as mull uses it. */
export interface GgmlAlloc {
  gallocrNew(type: BufferTypePointer): GraphAllocatorPointer | null;
  gallocrFree(allocator: GraphAllocatorPointer): void;
  /** False: out of memory. */
  gallocrAllocGraph(allocator: GraphAllocatorPointer, graph: GraphPointer): boolean;
  gallocrGetBufferSize(allocator: GraphAllocatorPointer, buffer: number): number;
  /** Allocates every tensor of a context; null: out of memory, or no tensor in it. */
  allocContextTensors(context: ContextPointer, type: BufferTypePointer): BufferPointer | null;
}

const pointer = "void *";

export function declareGgmlAlloc({ base }: Libraries): GgmlAlloc {
  return {
    gallocrNew: base.func("ggml_gallocr_new", pointer, [pointer]),
    gallocrFree: base.func("ggml_gallocr_free", "void", [pointer]),
    gallocrAllocGraph: base.func("ggml_gallocr_alloc_graph", "bool", [pointer, pointer]),
    gallocrGetBufferSize: base.func("ggml_gallocr_get_buffer_size", "size_t", [pointer, "int"]),
    allocContextTensors: base.func("ggml_backend_alloc_ctx_tensors_from_buft", pointer, [pointer, pointer]),
  };
}
