import type { TypeObject } from "koffi";
import type { Libraries } from "./libraries.ts";
import type { Pointer } from "./pointer.ts";

export type ContextPointer = Pointer<"ggml_context">;
export type TensorPointer = Pointer<"ggml_tensor">;
export type GraphPointer = Pointer<"ggml_cgraph">;

/** Results of a computation (`enum ggml_status`). */
export const STATUS = { allocFailed: -2, failed: -1, success: 0, aborted: 1 } as const;

/** Argument of `ggml_init`. With `no_alloc` a context holds only descriptions; data lies in backend buffers. */
export interface InitParams {
  mem_size: number;
  mem_buffer: null;
  no_alloc: boolean;
}

type Unary = (context: ContextPointer, a: TensorPointer) => TensorPointer;
type Binary = (context: ContextPointer, a: TensorPointer, b: TensorPointer) => TensorPointer;

/**
 * ggml.h, as far as mull uses it; names, order and meaning of arguments are those of the header. Shapes are in
 * ggml's order: `ne0` counts columns, the fastest dimension. Arguments that do not fit abort the process, so only
 * `Graph` and `Weights`, which check them, call these.
 */
export interface Ggml {
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

  add: Binary;
  mul: Binary;
  /** a (k, n), b (k, m) → (n, m): every row of b times every row of a. */
  mulMat: Binary;
  norm(context: ContextPointer, a: TensorPointer, epsilon: number): TensorPointer;
  scale(context: ContextPointer, a: TensorPointer, factor: number): TensorPointer;
  gelu: Unary;
  geluErf: Unary;
  silu: Unary;
  relu: Unary;
  hardswish: Unary;
  hardsigmoid: Unary;
  cont: Unary;
  reshape4d(
    context: ContextPointer,
    a: TensorPointer,
    ne0: number,
    ne1: number,
    ne2: number,
    ne3: number,
  ): TensorPointer;
  /** Strides and offset in bytes. */
  view4d(
    context: ContextPointer,
    a: TensorPointer,
    ne0: number,
    ne1: number,
    ne2: number,
    ne3: number,
    nb1: number,
    nb2: number,
    nb3: number,
    offset: number,
  ): TensorPointer;
  /** Dimension i of a becomes dimension axis_i of the result. */
  permute(
    context: ContextPointer,
    a: TensorPointer,
    axis0: number,
    axis1: number,
    axis2: number,
    axis3: number,
  ): TensorPointer;
  repeat4d(
    context: ContextPointer,
    a: TensorPointer,
    ne0: number,
    ne1: number,
    ne2: number,
    ne3: number,
  ): TensorPointer;
  concat(context: ContextPointer, a: TensorPointer, b: TensorPointer, dimension: number): TensorPointer;
  softMaxExt(
    context: ContextPointer,
    a: TensorPointer,
    mask: null,
    scale: number,
    maxBias: number,
  ): TensorPointer;
  flashAttnExt(
    context: ContextPointer,
    q: TensorPointer,
    k: TensorPointer,
    v: TensorPointer,
    mask: null,
    scale: number,
    maxBias: number,
    logitSoftcap: number,
  ): TensorPointer;
  im2col(
    context: ContextPointer,
    kernel: TensorPointer,
    image: TensorPointer,
    stride0: number,
    stride1: number,
    padding0: number,
    padding1: number,
    dilation0: number,
    dilation1: number,
    is2d: boolean,
    type: number,
  ): TensorPointer;
  /** Kernel (width, height, 1, channels). */
  conv2dDwDirect(
    context: ContextPointer,
    kernel: TensorPointer,
    image: TensorPointer,
    stride0: number,
    stride1: number,
    padding0: number,
    padding1: number,
    dilation0: number,
    dilation1: number,
  ): TensorPointer;
  pool2d(
    context: ContextPointer,
    a: TensorPointer,
    operation: number,
    kernel0: number,
    kernel1: number,
    stride0: number,
    stride1: number,
    padding0: number,
    padding1: number,
  ): TensorPointer;

  newGraphCustom(context: ContextPointer, size: number, gradients: boolean): GraphPointer;
  buildForwardExpand(graph: GraphPointer, tensor: TensorPointer): void;
}

const pointer = "void *";

/** Declares the functions of ggml.h on the loaded library. */
export function declareGgml({ koffi, base }: Libraries): Ggml {
  const initParams = koffi.struct({ mem_size: "size_t", mem_buffer: pointer, no_alloc: "bool" });
  const declare = (name: string, result: string, parameters: (string | TypeObject)[]) =>
    base.func(`ggml_${name}`, result, parameters);
  /** The context, then that many tensors. */
  const tensors = (count: number) => Array.from({ length: count + 1 }, () => pointer);
  const unary = (name: string) => declare(name, pointer, tensors(1));
  const binary = (name: string) => declare(name, pointer, tensors(2));
  const four = (type: string) => [type, type, type, type];
  return {
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

    add: binary("add"),
    mul: binary("mul"),
    mulMat: binary("mul_mat"),
    norm: declare("norm", pointer, [pointer, pointer, "float"]),
    scale: declare("scale", pointer, [pointer, pointer, "float"]),
    gelu: unary("gelu"),
    geluErf: unary("gelu_erf"),
    silu: unary("silu"),
    relu: unary("relu"),
    hardswish: unary("hardswish"),
    hardsigmoid: unary("hardsigmoid"),
    cont: unary("cont"),
    reshape4d: declare("reshape_4d", pointer, [pointer, pointer, ...four("int64")]),
    view4d: declare("view_4d", pointer, [pointer, pointer, ...four("int64"), ...four("size_t")]),
    permute: declare("permute", pointer, [pointer, pointer, ...four("int")]),
    repeat4d: declare("repeat_4d", pointer, [pointer, pointer, ...four("int64")]),
    concat: declare("concat", pointer, [pointer, pointer, pointer, "int"]),
    softMaxExt: declare("soft_max_ext", pointer, [pointer, pointer, pointer, "float", "float"]),
    flashAttnExt: declare("flash_attn_ext", pointer, [...tensors(4), "float", "float", "float"]),
    im2col: declare("im2col", pointer, [...tensors(2), ...four("int"), "int", "int", "bool", "int"]),
    conv2dDwDirect: declare("conv_2d_dw_direct", pointer, [...tensors(2), ...four("int"), "int", "int"]),
    pool2d: declare("pool_2d", pointer, [...tensors(1), "int", ...four("int"), "float", "float"]),

    newGraphCustom: declare("new_graph_custom", pointer, [pointer, "size_t", "bool"]),
    buildForwardExpand: declare("build_forward_expand", "void", [pointer, pointer]),
  };
}
