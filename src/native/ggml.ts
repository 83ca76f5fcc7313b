import type { TypeObject } from "koffi";
import {
  type ContextPointer,
  type GgmlOperations,
  type TensorPointer,
  declareGgmlOperations,
} from "./ggml-operations.ts";
import type { Libraries } from "./libraries.ts";
import type { Pointer } from "./pointer.ts";

export type { ContextPointer, TensorPointer };
export type GraphPointer = Pointer<"ggml_cgraph">;

/** Results of a computation (`enum ggml_status`). */
export const STATUS = { allocFailed: -2, failed: -1, success: 0, aborted: 1 } as const;

/** Argument of `ggml_init`. With `no_alloc` a context holds only descriptions; data lies in backend buffers. */
export interface InitParams {
  mem_size: number;
  mem_buffer: null;
  no_alloc: boolean;
}

/**
 * ggml.h, as far as mull uses it; names, order and meaning of arguments are those of the header. Shapes are in
 * ggml's order: `ne0` counts columns, the fastest dimension. Arguments that do not fit abort the process, so only
 * `Graph` and `Weights`, which check them, call these.
 */
export interface Ggml extends GgmlOperations {
  readonly initParams: TypeObject;
  version(): string;
  tensorOverhead(): number;
  graphOverheadCustom(size: number, gradients: boolean): number;
  typeName(type: number): string | null;
  typeSize(type: number): number;
  blockSize(type: number): number;
  nbytes(tensor: TensorPointer): number;

  init(params: InitParams): ContextPointer | null;
  free(context: ContextPointer): void;
  getNoAlloc: unknown;
  setNoAlloc(context: ContextPointer, noAlloc: boolean): void;
  newTensor4d(
    context: ContextPointer,
    type: number,
    ne0: number,
    ne1: number,
    ne2: number,
    ne3: number,
  ): TensorPointer;
  setInput(tensor: TensorPointer): void;
  setOutput(tensor: TensorPointer): void;

  newGraphCustom(context: ContextPointer, size: number, gradients: boolean): GraphPointer;
  buildForwardExpand(graph: GraphPointer, tensor: TensorPointer): void;
}

const pointer = "void *";

/** Declares the functions of ggml.h on the loaded library. */
export function declareGgml(libraries: Libraries): Ggml {
  const { koffi, base } = libraries;
  const initParams = koffi.struct({ mem_size: "size_t", mem_buffer: pointer, no_alloc: "bool" });
  const declare = (name: string, result: string, parameters: (string | TypeObject)[]) =>
    base.func(`ggml_${name}`, result, parameters);
  const four = (type: string) => [type, type, type, type];
  return {
    ...declareGgmlOperations(libraries),
    initParams,
    version: declare("version", "str", []),
    tensorOverhead: declare("tensor_overhead", "size_t", []),
    graphOverheadCustom: declare("graph_overhead_custom", "size_t", ["size_t", "bool"]),
    typeName: declare("type_name", "str", ["int"]),
    typeSize: declare("type_size", "size_t", ["int"]),
    blockSize: declare("blck_size", "int64", ["int"]),
    nbytes: declare("nbytes", "size_t", [pointer]),

    init: declare("init", pointer, [initParams]),
    free: declare("free", "void", [pointer]),
    getNoAlloc: base.symbol("ggml_get_no_alloc"),
    setNoAlloc: declare("set_no_alloc", "void", [pointer, "bool"]),
    newTensor4d: declare("new_tensor_4d", pointer, [pointer, "int", ...four("int64")]),
    setInput: declare("set_input", "void", [pointer]),
    setOutput: declare("set_output", "void", [pointer]),

    newGraphCustom: declare("new_graph_custom", pointer, [pointer, "size_t", "bool"]),
    buildForwardExpand: declare("build_forward_expand", "void", [pointer, pointer]),
  };
}
